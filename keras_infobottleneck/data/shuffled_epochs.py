"""Arrays as the batches of many epochs, in an order that the epoch decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from keras_infobottleneck.data.elements import num_rows

__all__ = ["shuffled_epochs"]


def shuffled_epochs(
    arrays: Any, batch_size: int, seed: int, first_epoch: int, num_epochs: int
) -> tf.data.Dataset:
    """The batches of the epochs from `first_epoch` up to, but without, `num_epochs`.

    The order of the examples in an epoch depends on `seed` and the number of the epoch alone, so
    that a training that was killed and goes on sees what the undisturbed one would have seen.

    Args:
        arrays: A nest of arrays of as many rows each, such as `(x, y)`.
        batch_size: Examples in a batch; the last batch of an epoch may hold fewer.
        seed: An integer of up to 64 bits.
        first_epoch: Number of the first epoch, counted from 0.
        num_epochs: Number of all epochs.
    """
    arrays = tf.nest.map_structure(tf.convert_to_tensor, _with_tuples(arrays))
    rows = num_rows(tf.nest.flatten(arrays)[0])

    def of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(rows), key)
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size)

    def batch_of(rows: tf.Tensor) -> Any:
        return tf.nest.map_structure(lambda array: tf.gather(array, rows), arrays)

    epochs = tf.data.Dataset.range(first_epoch, num_epochs)
    return epochs.flat_map(of_epoch).map(batch_of).prefetch(tf.data.AUTOTUNE)


def _with_tuples(arrays: Any) -> Any:
    """The nest with tuples for lists, which a `tf.data.Dataset` takes for tensors."""
    if isinstance(arrays, Mapping):
        return {name: _with_tuples(value) for name, value in arrays.items()}
    if isinstance(arrays, list | tuple):
        return tuple(map(_with_tuples, arrays))
    return arrays
