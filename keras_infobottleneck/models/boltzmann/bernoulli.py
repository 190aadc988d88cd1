"""Binary draws that XLA compiles into one loop with the probabilities."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["bernoulli", "squares"]


@tf.function(jit_compile=True, autograph=False)
def bernoulli(probability: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor | int = 0) -> tf.Tensor:
    """Independent draws, `[rows, columns]`: 1.0 with the given probability, else 0.0.

    A unit is on where a multiple of 2^-24 from `squares` is below its probability: exact for 0 and
    1, within 2^-24 elsewhere. The generator's key is a Philox draw.

    Args:
        probability: `[rows, columns]`, below 2^32 entries.
        seed: integers `[2]`, others for every call.
        first_row: number of the first row, where the rows are a part of more.
    """
    key = tf.random.stateless_uniform(
        [], seed, minval=None, maxval=None, dtype=tf.uint64, alg="philox"
    )
    words = squares(tf.shape(probability), tf.bitwise.bitwise_or(key, _constant(1)), first_row)
    bits = tf.cast(tf.bitwise.right_shift(words, _constant(40)), tf.int32)
    drawn = tf.cast(bits, tf.float32) * 2.0**-24 < tf.cast(probability, tf.float32)
    # A root changes neither 0 nor 1. XLA repeats cheap operations, here all of the above, in every
    # loop that reads their result, and what holds a root only once.
    return tf.sqrt(tf.cast(drawn, probability.dtype))


def squares(shape: tf.Tensor, key: tf.Tensor, first_row: tf.Tensor | int = 0) -> tf.Tensor:
    """Words of the counter-based generator Squares, uint64 `[rows, columns]`.

    The upper 32 bits of `x^2 + z`, the last of its four rounds, are the random number. Each element
    is computed from its number and the key alone; XLA writes all four words of a Philox call for
    every element and takes eight times as long (Philox 980, Squares 120 microseconds of processor
    time for 78,400 numbers on one machine).

    Args:
        shape: `[2]`, rows and columns.
        key: scalar uint64, odd and without pattern.
        first_row: number of the first row.

    References:
        Widynski (2020), Squares: a fast counter-based RNG, arXiv 2004.06278.
    """
    rows, columns = (tf.cast(tf.range(size), tf.uint64) for size in tf.unstack(shape))
    rows += tf.cast(first_row, tf.uint64)
    # counter * key, by the products of the rows and of the columns only.
    y = (rows * tf.cast(shape[1], tf.uint64) * key)[:, None] + columns * key
    z = y + key
    x = _exchange_halves(y * y + y)
    x = _exchange_halves(x * x + z)
    x = _exchange_halves(x * x + y)
    return x * x + z


def _exchange_halves(x: tf.Tensor) -> tf.Tensor:
    """The upper 32 bits below the lower ones."""
    half = _constant(32)
    return tf.bitwise.bitwise_or(tf.bitwise.left_shift(x, half), tf.bitwise.right_shift(x, half))


def _constant(value: int) -> tf.Tensor:
    """A scalar uint64."""
    return tf.constant(value, tf.uint64)
