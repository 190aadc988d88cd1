"""Random numbers that belong to examples, not to batches.

The counter-based generator is started at each batch's first example, so that an example draws the
same numbers whatever the batch size.
"""

from __future__ import annotations

import math

import tensorflow as tf

__all__ = ["normal", "seed_pair", "uniform"]

PHILOX = 1
# One step of the Philox counter gives four 32-bit numbers.
NUMBERS_PER_COUNT = 4


def uniform(key: tf.Tensor, first: tf.Tensor, rows: int, shape: tuple[int, ...]) -> tf.Tensor:
    """Uniform numbers in [0, 1), `[rows, *shape]`, for the examples from `first` on."""
    return _draw(tf.raw_ops.StatelessRandomUniformV2, key, first, rows, shape)


def normal(key: tf.Tensor, first: tf.Tensor, rows: int, shape: tuple[int, ...]) -> tf.Tensor:
    """Standard normal numbers, `[rows, *shape]`, for the examples from `first` on."""
    return _draw(tf.raw_ops.StatelessRandomNormalV2, key, first, rows, shape)


def _draw(op, key, first, rows, shape):
    """Whole counts per example, cut to what is asked for."""
    size = math.prod(shape)
    counts = -(-size // NUMBERS_PER_COUNT)
    counter = tf.stack([tf.cast(first, tf.uint64) * counts, tf.zeros([], tf.uint64)])
    numbers = op(
        shape=[rows, counts * NUMBERS_PER_COUNT],
        key=tf.reshape(tf.cast(key, tf.uint64), [1]),
        counter=counter,
        alg=PHILOX,
        dtype=tf.float32,
    )
    return tf.reshape(numbers[:, :size], [rows, *shape])


def seed_pair(key: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """A stateless seed for one batch, `[2]`, for distributions that draw by themselves."""
    return tf.stack([tf.cast(key % 2147483647, tf.int32), tf.cast(first, tf.int32)])
