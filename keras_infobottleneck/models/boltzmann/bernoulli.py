"""Binary draws, which XLA compiles into one loop together with their probabilities."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["bernoulli", "squares"]


@tf.function(jit_compile=True, autograph=False)
def bernoulli(probability: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor | int = 0) -> tf.Tensor:
    """Independent draws, `[rows, columns]`: 1.0 with the given probability, else 0.0.

    A unit is on if a random multiple of 2^-24 from `squares` is below its probability: exact for 0
    and 1, and within 2^-24 otherwise. The key of the generator is drawn by Philox.

    Args:
        probability: `[rows, columns]`, fewer than 2^32 entries.
        seed: Integers `[2]`, different in every call.
        first_row: Number of the first row, if the rows are part of a larger array.
    """
    key = tf.random.stateless_uniform(
        [], seed, minval=None, maxval=None, dtype=tf.uint64, alg="philox"
    )
    words = squares(tf.shape(probability), tf.bitwise.bitwise_or(key, _constant(1)), first_row)
    bits = tf.cast(tf.bitwise.right_shift(words, _constant(40)), tf.int32)
    drawn = tf.cast(bits, tf.float32) * 2.0**-24 < tf.cast(probability, tf.float32)
    # The root leaves 0 and 1 unchanged. XLA repeats cheap operations, here all of the above, in
    # every loop that reads their result; an operation such as a root it computes only once.
    return tf.sqrt(tf.cast(drawn, probability.dtype))


def squares(shape: tf.Tensor, key: tf.Tensor, first_row: tf.Tensor | int = 0) -> tf.Tensor:
    """Words of the counter-based generator Squares, uint64 `[rows, columns]`.

    The random number is the upper 32 bits of `x^2 + z` in the last of four rounds. Each element
    is computed from its number and the key alone. For Philox, XLA computes all four words of a call
    for every element, which takes eight times as long (980 instead of 120 microseconds of processor
    time for 78,400 numbers on one machine).

    Args:
        shape: `[2]`, rows and columns.
        key: Scalar uint64, odd and with irregular bits.
        first_row: Number of the first row.

    References:
        Widynski (2020), Squares: a fast counter-based RNG, arXiv 2004.06278.
    """
    rows, columns = (tf.cast(tf.range(size), tf.uint64) for size in tf.unstack(shape))
    rows += tf.cast(first_row, tf.uint64)
    # counter * key, from products of the rows and of the columns only.
    y = (rows * tf.cast(shape[1], tf.uint64) * key)[:, None] + columns * key
    z = y + key
    x = _exchange_halves(y * y + y)
    x = _exchange_halves(x * x + z)
    x = _exchange_halves(x * x + y)
    return x * x + z


def _exchange_halves(x: tf.Tensor) -> tf.Tensor:
    """Exchanges the upper and the lower 32 bits."""
    half = _constant(32)
    return tf.bitwise.bitwise_or(tf.bitwise.left_shift(x, half), tf.bitwise.right_shift(x, half))


def _constant(value: int) -> tf.Tensor:
    """A scalar uint64."""
    return tf.constant(value, tf.uint64)
