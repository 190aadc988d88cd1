"""Arrays as batches of many epochs, in an order that seed and epoch determine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from keras_infobottleneck.data.elements import num_rows

__all__ = ["shuffled_epochs"]


def shuffled_epochs(
    arrays: Any, batch_size: int, seed: int, first_epoch: int, num_epochs: int
) -> tf.data.Dataset:
    """The batches of the epochs `first_epoch` to `num_epochs - 1`.

    The order of the examples in an epoch depends only on `seed` and the number of the epoch, so
    that a resumed training sees the same batches as an uninterrupted one.

    Args:
        arrays: A nest of arrays of equal length, such as `(x, y)`.
        batch_size: Number of examples in a batch; the last batch of an epoch may hold fewer.
        seed: An integer of up to 64 bits.
        first_epoch: Number of the first epoch, counted from 0.
        num_epochs: Number of epochs in total, including those before `first_epoch`.
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
    """The nest with lists replaced by tuples, because `tf.data.Dataset` reads lists as tensors."""
    if isinstance(arrays, Mapping):
        return {name: _with_tuples(value) for name, value in arrays.items()}
    if isinstance(arrays, list | tuple):
        return tuple(map(_with_tuples, arrays))
    return arrays
