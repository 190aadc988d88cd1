"""Counts of 4 x 4 blocks in each bit plane of a matrix of levels, all planes in one pass."""

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

__all__ = ["BLOCK_SIDE", "NUM_BLOCKS", "count_planes"]

BLOCK_SIDE = 4
NUM_BLOCKS = 2 ** (BLOCK_SIDE * BLOCK_SIDE)

# Strips of about this many levels fit in the cache together with what is computed from them.
LEVELS_AT_ONCE = 1 << 17
# Number of blocks counted at once: many compared with the 65,536 counts that are added each time.
BLOCKS_AT_ONCE = 1 << 20
PLANES_OF_A_BYTE = 8


def count_planes(
    levels: np.ndarray, num_planes: int, each: Callable[..., Iterable[Any]] = map
) -> np.ndarray:
    """Number of occurrences of each 4 x 4 block in each bit plane; incomplete blocks are ignored.

    Args:
        levels: ``[rows, columns]`` of uint8, or of uint16 for more than eight planes, in any memory
            order.
        num_planes: Number of planes, from the least significant bit on.
        each: Calls a function on every one of several arguments, like ``map``.

    Returns:
        ``[num_planes, 65536]`` counts in the order of ``coding_theorem_tables(2)[4]``.
    """
    rows, columns = (side - side % BLOCK_SIDE for side in levels.shape)
    per_row = columns // BLOCK_SIDE
    # A single plane needs less memory.
    at_once = LEVELS_AT_ONCE if num_planes > 1 else 2 * LEVELS_AT_ONCE
    strip = BLOCK_SIDE * max(1, at_once // (BLOCK_SIDE * max(1, columns)))
    step = strip * max(1, BLOCKS_AT_ONCE * BLOCK_SIDE // (strip * max(1, per_row)))
    codes = np.empty((PLANES_OF_A_BYTE, min(step, rows) // BLOCK_SIDE * per_row), np.uint16)
    counts = np.zeros((num_planes, NUM_BLOCKS), np.int64)
    for start, first in itertools.product(
        range(0, rows, step), range(0, num_planes, PLANES_OF_A_BYTE)
    ):
        part = levels[start : min(start + step, rows), :columns]
        planes = counts[first : first + PLANES_OF_A_BYTE]
        written = codes[: len(planes), : len(part) // BLOCK_SIDE * per_row]

        def write(
            row: int, part: np.ndarray = part, codes: np.ndarray = written, shift: int = first
        ) -> None:
            of_strip = part[row : row + strip]
            byte = (of_strip >> shift if shift else of_strip).astype(np.uint8, "C", copy=False)
            place = row // BLOCK_SIDE * per_row
            write_codes = _write_codes_of_lowest if len(codes) == 1 else _write_codes
            write_codes(byte, codes[:, place : place + byte.size // BLOCK_SIDE**2])

        list(each(write, range(0, len(part), strip)))
        for plane, found in zip(planes, each(_counted, written), strict=True):
            plane += found
    return counts


def _write_codes_of_lowest(levels: np.ndarray, codes: np.ndarray) -> None:
    """``_write_codes`` for the lowest plane alone, in half of the time."""
    rows, columns = levels.shape
    words = levels.view("<u4") & np.uint32(0x01010101)
    words = words.reshape(rows // BLOCK_SIDE, BLOCK_SIDE, columns // BLOCK_SIDE)
    # Each byte collects the rows of its column; then the half-empty bytes are moved together.
    code = words[:, 0] | words[:, 1] << 1 | words[:, 2] << 2 | words[:, 3] << 3
    code = (code | code >> 4) & np.uint32(0x00FF00FF)
    codes[0] = (code | code >> 8).ravel()


def _write_codes(levels: np.ndarray, codes: np.ndarray) -> None:
    """Code of each 4 x 4 block in each plane of uint8 levels, row by row: ``[planes, blocks]``."""
    rows, columns = levels.shape
    # Four neighbours in a row are one 32-bit word; a block has one word for each of its rows.
    words = levels.view("<u4").reshape(rows // BLOCK_SIDE, BLOCK_SIDE, columns // BLOCK_SIDE)
    words = np.array(words.swapaxes(0, 1), order="C").reshape(BLOCK_SIDE, -1)
    room = np.empty_like(words)
    # Transposes rows and planes: half a byte of word k then has all rows of plane k, or of 4 + k.
    swap = functools.partial(_swap, room=room)
    swap(words[:2], words[2:], 2, 0x33333333)
    swap(words[::2], words[1::2], 1, 0x55555555)
    # Brings together the halves of the four bytes that belong to one code.
    swap(words, words, 4, 0x00F000F0)
    swap(words, words, 8, 0x0000FF00)
    pairs = words.view("<u2").reshape(BLOCK_SIDE, -1, 2)
    codes[:4] = pairs[: len(codes), :, 0]
    codes[4:] = pairs[: max(len(codes) - 4, 0), :, 1]


def _swap(a: np.ndarray, b: np.ndarray, shift: int, mask: int, *, room: np.ndarray) -> None:
    """Exchanges the bits of ``b`` under the mask with those of ``a`` that are ``shift`` higher."""
    difference = room[: len(a)]
    np.right_shift(a, np.uint32(shift), out=difference)
    difference ^= b
    difference &= np.uint32(mask)
    b ^= difference
    difference <<= np.uint32(shift)
    a ^= difference


def _counted(codes: np.ndarray) -> np.ndarray:
    """Number of occurrences of each code."""
    return np.bincount(codes, minlength=NUM_BLOCKS)
