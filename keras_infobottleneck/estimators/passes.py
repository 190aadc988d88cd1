"""Compiled passes over data, kept with the model they were traced for."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.batches import Batch, Batches

__all__ = ["compiled", "summed"]

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


def summed(of_batch: Callable[[Batch], Any], batches: Batches, *, verbose: int = 0) -> Any:
    """Sum of `of_batch` over every batch, on the device, with a Keras progress bar on request."""
    bar = keras.utils.Progbar(batches.num_batches, verbose=verbose)
    total = None
    for index, batch in enumerate(batches, start=1):
        part = of_batch(batch)
        total = part if total is None else tf.nest.map_structure(tf.add, total, part)
        if verbose:
            bar.update(index)
    if verbose and batches.num_batches is None:
        bar.update(index, finalize=True)
    return total
