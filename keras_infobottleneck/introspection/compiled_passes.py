"""Compiled passes over data, kept with the model they were traced for."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch, Batches
from keras_infobottleneck.introspection.contents import all_layers
from keras_infobottleneck.introspection.precision import full_products

__all__ = ["BATCHES_PER_PART", "CompiledSum", "compiled", "sum_over"]

# This many batches are summed in their own precision before they are added to a sum in float64:
# rounding in float32 grows with the number of batches, and this many cost seven digits one.
BATCHES_PER_PART = 256

_KEPT: weakref.WeakKeyDictionary[keras.Model, dict[Hashable, Any]] = weakref.WeakKeyDictionary()


def compiled(model: keras.Model, key: Hashable, make: Callable[[Callable], Any]) -> Any:
    """What `make` gives for `key`: made on the first call, kept while the model lives.

    And while it has the same weights: low-rank adaptation and quantisation give a layer others,
    and make it compute with them, of which what was traced before knows nothing.

    Args:
        model: whose weights the function reads.
        key: everything but shapes that the function depends on.
        make: from a reference that gives the model, when called, to what is kept. Were the model
            itself kept by its function, it would never be freed.
    """
    kept = _KEPT.setdefault(model, {})
    is_built = all(layer.built for layer in all_layers(model))
    weights = tuple(map(id, model.weights)) if is_built else ()  # the first call may make more
    if kept.get("weights", ()) not in ((), weights):
        # Not emptied: another thread may be at what it holds.
        kept = _KEPT[model] = {}
    kept["weights"] = weights
    if key not in kept:
        # If two threads make one at the same time, both use the first.
        made = make(weakref.ref(model))
        return kept.setdefault(key, made)
    return kept[key]


class CompiledSum:
    """Sum of a function of a batch over every batch, in a compiled loop.

    Outside, every batch would cost the dispatch of a call and new tensors for the sums.

    Args:
        of_batch: from a batch and further tensors to a nest of tensors of fixed shapes.
    """

    def __init__(self, of_batch: Callable[..., Any]):
        of_batch = tf.function(of_batch, autograph=False)

        def of_stack(stack: Batch, *arguments: Any) -> Any:
            first = tf.nest.map_structure(lambda a: tf.TensorSpec(a.shape[1:], a.dtype), stack)
            results = of_batch.get_concrete_function(first, *arguments).structured_outputs
            zeros = tf.nest.map_structure(lambda r: tf.zeros(r.shape, r.dtype), results)

            def of_number(i: tf.Tensor) -> Any:
                return of_batch(tf.nest.map_structure(lambda a: a[i], stack), *arguments)

            return sum_over(tf.shape(stack.weights)[0], of_number, zeros)

        self._of_stack = tf.function(of_stack, autograph=False)

    def over(self, batches: Batches, *arguments: Any, verbose: int = 0) -> Any:
        """The sum, on the device, with a Keras progress bar on request."""
        bar = keras.utils.Progbar(batches.num_batches, verbose=verbose)
        part, total, count = None, None, 0
        most = 1 if verbose else BATCHES_PER_PART
        for index, stack in enumerate(batches.stacks(most), start=1):
            # One function for stacks of every height.
            any_height = tf.nest.map_structure(
                lambda a: tf.TensorSpec([None, *a.shape[1:]], a.dtype), stack
            )
            of_stack = self._of_stack.get_concrete_function(any_height, *arguments)
            with full_products():
                more = of_stack(stack, *arguments)
            if count >= BATCHES_PER_PART:
                total, part, count = _in_float64(total, part), None, 0
            part = more if part is None else tf.nest.map_structure(tf.add, part, more)
            count += stack.weights.shape[0]
            if verbose:
                bar.update(index)
        if verbose and batches.num_batches is None:
            bar.update(index, finalize=True)
        if total is None:
            return part
        total = _in_float64(total, part)
        return tf.nest.map_structure(lambda a, p: tf.constant(a, p.dtype), total, part)


def _in_float64(total: Any, part: Any) -> Any:
    """The total on the host with a part added, in place: no copy of large sums is made."""
    if total is None:
        return tf.nest.map_structure(lambda p: np.array(p.numpy(), np.float64), part)
    return tf.nest.map_structure(lambda a, p: np.add(a, p.numpy(), out=a), total, part)


def sum_over(count: int | tf.Tensor, value: Callable[[Any], Any], zeros: Any) -> Any:
    """Sum of `value(k)` for k below count, one after the other, in a compiled loop from `zeros`."""
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
