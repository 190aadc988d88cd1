"""Compiled passes over data, kept as long as the model for which they were traced."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch, Batches
from keras_infobottleneck.introspection.contents import all_layers
from keras_infobottleneck.introspection.replicas import (
    Replicas,
    measuring_strategy,
    outside_scope,
    replicas_of,
)

__all__ = ["BATCHES_PER_PART", "CompiledSum", "compiled", "sum_over"]

# This many batches are summed in their own precision before they are added to a sum in float64.
# Rounding in float32 grows with the number of batches; this many cost about one of seven digits.
BATCHES_PER_PART = 256

_KEPT: weakref.WeakKeyDictionary[keras.Model, dict[Hashable, Any]] = weakref.WeakKeyDictionary()


def compiled(model: keras.Model, key: Hashable, make: Callable[[Callable], Any]) -> Any:
    """The result of `make` for `key`: made at the first call and kept while the model lives.

    It is made anew if the model's weights are other variables: low-rank adaptation and quantisation
    replace the weights of a layer, which a function traced before would not use.

    Args:
        model: The model whose weights the function reads.
        key: Everything except shapes that the function depends on.
        make: Function from a weak reference to the model (call it to get the model) to the object
            that is kept. The object must not hold the model itself, which would never be freed.
    """
    kept = _KEPT.setdefault(model, {})
    is_built = all(layer.built for layer in all_layers(model))
    weights = tuple(map(id, model.weights)) if is_built else ()  # a first call may make more
    if kept.get("weights", ()) not in ((), weights):
        # A new dictionary, not an emptied one: another thread may be using its contents.
        kept = _KEPT[model] = {}
    kept["weights"] = weights
    if key not in kept:
        # If two threads make one at the same time, both use the first one stored.
        made = make(weakref.ref(model))
        return kept.setdefault(key, made)
    return kept[key]


class CompiledSum:
    """Sum of a function of a batch over all batches, in a compiled loop on every replica.

    Without the loop, each batch would cost the dispatch of a call and new tensors for the sums.

    Args:
        of_batch: Function from a batch and further tensors to a nest of tensors of fixed shapes.
    """

    def __init__(self, of_batch: Callable[..., Any]):
        self._of_batch = of_batch
        self._loops: weakref.WeakKeyDictionary[Replicas, Any] = weakref.WeakKeyDictionary()

    def over(
        self,
        batches: Batches,
        *arguments: Any,
        verbose: int = 0,
        strategy: tf.distribute.Strategy | None = None,
    ) -> Any:
        """The sum over all batches.

        Args:
            batches: The examples.
            arguments: Further tensors for the function.
            verbose: 1 for a Keras progress bar.
            strategy: Strategy whose replicas each take a share of the batches; by default
                `measuring_strategy()`. With several processes, all of them must make the call.
        """
        strategy = strategy or measuring_strategy()
        with outside_scope(strategy):
            return self._over(replicas_of(strategy), batches, arguments, verbose)

    def _over(self, replicas: Replicas, batches: Batches, arguments: Any, verbose: int) -> Any:
        loop = self._loops.get(replicas)
        if loop is None:
            loop = self._loops[replicas] = replicas.compiled(self._of_stack)
        bar = keras.utils.Progbar(batches.num_batches, verbose=verbose)
        parts: Any = None  # the sums of each local replica over the most recent batches
        total: Any = None
        count = done = 0
        most = replicas.count if verbose else BATCHES_PER_PART
        for stack in batches.stacks(most):
            more = loop(replicas.shares(stack), *arguments)
            if count >= BATCHES_PER_PART:
                total, parts, count = _in_float64(total, parts), None, 0
            parts = more if parts is None else tf.nest.map_structure(_add, parts, more)
            count += stack.weights.shape[0]
            done += stack.weights.shape[0]
            if verbose:
                bar.update(done)
        if verbose and batches.num_batches is None:
            bar.update(done, finalize=True)
        if total is None and replicas.count == 1:
            return parts[0]
        total = _in_float64(total, parts)
        if replicas.count > len(parts):
            total = tf.nest.map_structure(replicas.sum_of_processes, total)
        return tf.nest.map_structure(lambda a, p: tf.constant(a, p.dtype), total, parts[0])

    def _of_stack(self, stack: Batch, *arguments: Any) -> Any:
        """Sum over the batches of one stack; traced for each replica with its own weights."""
        of_batch = tf.function(self._of_batch, autograph=False)
        first = tf.nest.map_structure(lambda a: tf.TensorSpec(a.shape[1:], a.dtype), stack)
        results = of_batch.get_concrete_function(first, *arguments).structured_outputs
        zeros = tf.nest.map_structure(lambda r: tf.zeros(r.shape, r.dtype), results)

        def of_number(i: tf.Tensor) -> Any:
            return of_batch(tf.nest.map_structure(lambda a: a[i], stack), *arguments)

        return sum_over(tf.shape(stack.weights)[0], of_number, zeros)


def _add(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """The sum of two tensors, on the device of the first."""
    with tf.device(a.device):
        return a + b


def _in_float64(total: Any, parts: list[Any]) -> Any:
    """The total on the host with parts added in place, so that large sums are not copied."""
    for part in parts:
        if total is None:
            total = tf.nest.map_structure(lambda p: np.array(p.numpy(), np.float64), part)
        else:
            total = tf.nest.map_structure(lambda a, p: np.add(a, p.numpy(), out=a), total, part)
    return total


def sum_over(count: int | tf.Tensor, value: Callable[[Any], Any], zeros: Any) -> Any:
    """Sum of `value(k)` for `k < count`, sequentially in a compiled loop that starts at `zeros`."""
    if isinstance(count, int) and count == 1:
        return value(0)

    def body(k: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
        more = tf.nest.flatten(value(k))
        return (k + 1, *(s + m for s, m in zip(sums, more, strict=True)))

    result = tf.while_loop(
        lambda k, *_: k < count,
        body,
        (tf.constant(0), *tf.nest.flatten(zeros)),
        parallel_iterations=1,
    )
    return tf.nest.pack_sequence_as(zeros, result[1:])
