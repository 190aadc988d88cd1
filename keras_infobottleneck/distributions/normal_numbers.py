"""Standard normal numbers from the words of the philox generator, few at a time or many.

TensorFlow runs each step of the transform on all numbers before the next step, and spends more time
on philox than on the rest; XLA computes all four words of a block again for each of them. Many
numbers are therefore made by a loop of this package, in a quarter of the time, with and without
``jit_compile``. The loop goes through pairs of words and packs the results of a pair into one
complex number, because XLA repeats computations that several results share. Both ways give the same
numbers up to the rounding of float32. XLA compiles for one size: sizes are rounded up, and the
surplus is dropped.

References:
    Salmon, Moraes, Dror & Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3", philox4x32.
"""

import sys
from typing import Any

import tensorflow as tf

__all__ = ["MANY", "few_normals", "is_large", "many_normals"]

# From this many numbers on, the loop is worth the half second in which it is compiled.
MANY = 2**16
STEPS = 32  # number of compiled sizes between two powers of two
# Pairs of floats are packed as the bytes of an integer, the first in the lower half.
CAN_PACK = tf.test.is_built_with_xla() and sys.byteorder == "little"

# cos and sin of v quarter turns, as polynomials in v^2 (the sine divided by v), fitted at
# Chebyshev nodes; errors below 5e-8 for |v| <= 1, a unit in the last place of float32.
COS_QUARTER = (0.9999999532, -1.233698208, 0.2536507096, -0.02081057138, 0.0008581625433)
SIN_QUARTER = (1.57079632, -0.6459637604, 0.0796899226, -0.004674150669, 0.0001516751178)

# Multipliers of the two products of a round, and the increments of the two halves of the key.
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10


def is_large(size: Any) -> Any:
    """Whether `many_normals` supports this size and pays off; `size` is an int or a tensor."""
    return CAN_PACK & (size >= MANY) & (size % 4 == 0)


def few_normals(bits: tf.Tensor, size: Any) -> tf.Tensor:
    """`size` standard normal numbers from random integers, int32 ``[2, (size + 1) // 2]``."""
    return tf.concat(_box_muller(bits[0], bits[1]), 0)[:size]


def many_normals(size: Any, seed: tf.Tensor) -> tf.Tensor:
    """The numbers of `few_normals` for the same philox words, up to the rounding of float32.

    Args:
        size: An int or an int32 tensor, rounded up to a multiple of four.
        seed: Seed, int32 ``[2]``.
    """
    num_pairs = (size + 3) // 4
    # XLA knows the shape of an argument when it compiles, but not its value, even if constant.
    as_many_as_made = tf.zeros([_rounded_up(num_pairs)], tf.bool)
    pairs = _pairs_of_normals(as_many_as_made, num_pairs, seed)[:, :num_pairs]
    return tf.reshape(tf.bitcast(pairs, tf.float32), [-1])


def _rounded_up(size: Any) -> Any:
    """The next size that is compiled, for an int or an int32 tensor."""
    ones = size  # as many as it has binary digits
    for shift in (1, 2, 4, 8, 16):
        ones |= ones // 2**shift
    step = ones // (2 * STEPS) + 1
    return (size + step - 1) // step * step


@tf.function(
    jit_compile=True,
    autograph=False,
    input_signature=[
        tf.TensorSpec([None], tf.bool),
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([2], tf.int32),
    ],
)
def _pairs_of_normals(as_many: tf.Tensor, num_pairs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """All cosines, then all sines, two in each float64, ``[2, size of as_many]``.

    The first `num_pairs` columns are the numbers; the others only fill up the compiled size.
    """
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    pairs = tf.cast(tf.range(tf.size(as_many)), tf.uint64)
    # The words of the angles follow those of all radii that are used.
    radii = _pair_of_words(pairs, key, counter)
    angles = _pair_of_words(pairs + tf.cast(num_pairs, tf.uint64), key, counter)
    cosines, sines = zip(*map(_box_muller, radii, angles), strict=True)
    numbers = _computed_once(tf.complex(_joined(*cosines), _joined(*sines)), key)
    is_cosine = tf.constant([[True], [False]])
    return tf.where(is_cosine, tf.math.real(numbers)[None], tf.math.imag(numbers)[None])


def _box_muller(first_bits: tf.Tensor, second_bits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Two independent standard normal numbers from two random integers, int32."""
    first, second = (tf.cast(bits, tf.float32) * 2.0**-32 for bits in (first_bits, second_bits))
    # 2^-26 is the middle of the lowest bucket; as an offset it would round away beside 0.5.
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(first + 0.5, 2.0**-26)))
    # A half circle by polynomials (XLA's cosine is slow on the CPU), and a random sign: the lowest
    # bit, which the rounding to float32 left unused.
    radius = tf.where(tf.equal(first_bits & 1, 0), radius, -radius)
    turn = 2.0 * second
    square = tf.square(turn)
    cosine, sine = _polynomial(COS_QUARTER, square), turn * _polynomial(SIN_QUARTER, square)
    return radius * cosine, radius * sine


def _polynomial(coefficients: tuple[float, ...], x: tf.Tensor) -> tf.Tensor:
    """Horner's scheme; the constant coefficient comes first."""
    value = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def _pair_of_words(
    pair: tf.Tensor, key: tf.Tensor, counter: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Words 2p and 2p + 1 of the stream as int32, for each p in `pair`, uint64."""
    low_counter = counter[0] + tf.bitwise.right_shift(pair, _word(1))
    high_counter = counter[1] + tf.cast(low_counter < counter[0], tf.uint64)
    # 32-bit words are kept in 64-bit integers: conversions would cost more than the products.
    block = [_low(low_counter), _high(low_counter), _low(high_counter), _high(high_counter)]
    keys = [_low(key[0]), _high(key[0])]
    for _ in range(ROUNDS):
        first, second = (block[2 * i] * _word(MULTIPLIERS[i]) for i in range(2))
        block = [
            _high(second) ^ block[1] ^ keys[0],
            _low(second),
            _high(first) ^ block[3] ^ keys[1],
            _low(first),
        ]
        keys = [_low(half + _word(step)) for half, step in zip(keys, KEY_STEPS, strict=True)]
    is_even = tf.equal(pair & _word(1), _word(0))
    words = (tf.where(is_even, block[i], block[i + 2]) for i in range(2))
    first, second = (tf.bitcast(tf.cast(word, tf.uint32), tf.int32) for word in words)
    return first, second


def _computed_once(values: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Keeps XLA from computing the values again in every loop that reads them.

    XLA repeats cheap computations unless a loop of another kind separates them. This loop changes
    nothing, and runs only for one key in 2^64, which XLA cannot know.
    """
    times = tf.cast(tf.equal(key[0], _word(0)), tf.int32)
    return tf.while_loop(
        lambda i, _: i < times, lambda i, x: (i + 1, tf.roll(x, i, 0)), [0, values]
    )[1]


def _joined(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Two float32 numbers that follow each other in memory, as the bits of one float64."""
    first, second = (tf.cast(tf.bitcast(x, tf.uint32), tf.uint64) for x in (first, second))
    return tf.bitcast(first | tf.bitwise.left_shift(second, _word(32)), tf.float64)


def _low(x: tf.Tensor) -> tf.Tensor:
    """The lower half of integers of 64 bits."""
    return x & _word(0xFFFFFFFF)


def _high(x: tf.Tensor) -> tf.Tensor:
    """The upper half of integers of 64 bits."""
    return tf.bitwise.right_shift(x, _word(32))


def _word(value: int) -> tf.Tensor:
    """A scalar uint64."""
    return tf.constant(value, tf.uint64)
