"""Compiled passes over data, kept with the model they were traced for."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.batches import Batches

__all__ = ["CompiledSum", "compiled"]

_KEPT: weakref.WeakKeyDictionary[keras.Model, dict[Hashable, Any]] = weakref.WeakKeyDictionary()


def compiled(model: keras.Model, key: Hashable, make: Callable[[Callable], Any]) -> Any:
    """What `make` gives for `key`: made on the first call, kept while the model lives.

    Args:
        model: whose weights the function reads.
        key: everything but shapes that the function depends on.
        make: from a reference that gives the model, when called, to what is kept. Were the model
            itself kept by its function, it would never be freed.
    """
    kept = _KEPT.setdefault(model, {})
    if key not in kept:
        kept[key] = make(weakref.ref(model))
    return kept[key]


class CompiledSum:
    """Sum of a function of a batch over every batch, compiled together with the addition.

    Added outside, each batch would take a new tensor of every result's size; inside, the runtime
    adds into the batch's own.

    Args:
        of_batch: from a batch and further tensors to a nest of tensors of fixed shapes.
    """

    def __init__(self, of_batch: Callable[..., Any]):
        of_batch = tf.function(of_batch, autograph=False)

        def added(total: Any, *arguments: Any) -> Any:
            return tf.nest.map_structure(tf.add, total, of_batch(*arguments))

        self._of_batch = of_batch
        self._added = tf.function(added, autograph=False)

    def over(self, batches: Batches, *arguments: Any, verbose: int = 0) -> Any:
        """The sum, on the device, with a Keras progress bar on request."""
        bar = keras.utils.Progbar(batches.num_batches, verbose=verbose)
        total = None
        for index, batch in enumerate(batches, start=1):
            if total is None:
                total = self._zeros(batch, *arguments)
            total = self._added(total, batch, *arguments)
            if verbose:
                bar.update(index)
        if verbose and batches.num_batches is None:
            bar.update(index, finalize=True)
        return total

    def _zeros(self, *arguments: Any) -> Any:
        """Zeros of the results' shapes, which tracing tells."""
        traced = self._of_batch.get_concrete_function(*arguments)
        return tf.nest.map_structure(
            lambda spec: tf.zeros(spec.shape, spec.dtype), traced.structured_outputs
        )
