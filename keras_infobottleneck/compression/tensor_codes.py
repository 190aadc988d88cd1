"""Codes of single tensors in a file: exact, as short floats, or quantised.

Every function accepts a `Writer` and the values, or a `Reader` and no values, and returns the
values that a reader obtains. Weights coded by candidates from their prior are in `drawn_weights`.
"""

from __future__ import annotations

import math

import numpy as np

from keras_infobottleneck.compression.integers import Coder, SignedIntegers
from keras_infobottleneck.compression.range_coder import Chance
from keras_infobottleneck.compression.refused import DamageError
from keras_infobottleneck.compression.scale_grid import LARGEST_INDEX, scale_at

__all__ = ["DRAWN", "EXACT", "QUANTISED", "SHORT", "exact", "mode", "quantised", "scale", "short"]

# The modes, in the order of their two bits.
EXACT, SHORT, QUANTISED, DRAWN = range(4)


def mode(coder: Coder, value: int | None = None) -> int:
    """The mode of a tensor, one of four."""
    return coder.even(2, value)


def exact(
    coder: Coder, shape: tuple[int, ...], dtype: np.dtype, values: np.ndarray | None = None
) -> np.ndarray:
    """The bytes of an array, little-endian."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    content = None
    if values is not None:
        content = values.astype(dtype.newbyteorder("<"), copy=False).tobytes()
    read = bytes(coder.even(8, None if content is None else content[i]) for i in range(size))
    return np.frombuffer(read, dtype.newbyteorder("<")).astype(dtype).reshape(shape)


def short(coder: Coder, shape: tuple[int, ...], values: np.ndarray | None = None) -> np.ndarray:
    """Floats of 8 significant bits: the upper half of a float32, rounded to nearest.

    Signs and exponents are similar within a tensor and get an adaptive code.
    """
    words = None
    if values is not None:
        bits = values.astype(np.float32).ravel().view(np.uint32).astype(np.uint64)
        words = ((bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1))) >> np.uint64(16)).tolist()
    tree = [Chance() for _ in range(512)]
    read = []
    for index in range(math.prod(shape)):
        word = None if words is None else words[index]
        node = 1
        for place in range(15, 6, -1):
            node = node << 1 | coder.bit(tree[node], None if word is None else word >> place & 1)
        rest = coder.even(7, None if word is None else word & 127)
        read.append((node & 511) << 7 | rest)
    bits = np.array(read, np.uint32) << np.uint32(16)
    array = bits.view(np.float32).reshape(shape)
    if not np.all(np.isfinite(array)):
        raise DamageError("weights that are not finite")
    return array


def scale(coder: Coder, integers: SignedIntegers, before: int, value: int | None = None) -> int:
    """An index of the grid of scales, coded as its difference from the one before."""
    index = before + integers.code(coder, None if value is None else value - before)
    if abs(index) > LARGEST_INDEX:
        raise DamageError("a scale outside the grid")
    return index


def quantised(
    coder: Coder,
    shape: tuple[int, ...],
    index: int | None = None,
    integers: np.ndarray | None = None,
) -> np.ndarray:
    """Multiples of a step of the grid of scales.

    The probability of a zero depends on how many of two neighbours are zero: the entry before, and
    the one before along the second-last axis.

    Args:
        coder: The writer or reader.
        shape: Shape of the tensor.
        index: Index of the step.
        integers: The multiples.
    """
    index = scale(coder, SignedIntegers(), 0, index)
    code = SignedIntegers(num_contexts=3)
    row = shape[-1] if len(shape) > 1 else math.prod(shape) + 1
    given = None if integers is None else integers.ravel().tolist()
    read: list[int] = []
    for place in range(math.prod(shape)):
        near = (place > 0 and read[place - 1] != 0) + (place >= row and read[place - row] != 0)
        read.append(code.code(coder, None if given is None else given[place], near))
    if read and max(map(abs, read)) >= 1 << 40:
        raise DamageError("weights that are not finite")
    values = np.array(read, np.float64) * scale_at(index)
    with np.errstate(over="ignore"):
        array = values.astype(np.float32).reshape(shape)
    if not np.all(np.isfinite(array)):
        raise DamageError("weights that are not finite")
    return array
