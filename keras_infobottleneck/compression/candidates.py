"""Candidates: normal numbers that the writer and the reader of a file draw identically.

A path of choices has a state of 64 bits. The state of each continuation is a fingerprint of it
and of the choice, and every state defines a stream of normal numbers: words of the generator
SplitMix64, of which 16 bits select an entry of a table. All computations are in integer arithmetic,
which is the same on every machine. The table holds the quantiles of the normal distribution,
rounded to 1 / 4,096: no quantile lies so close to the midpoint between two such numbers that a
mathematical library could round it the other way, and a checksum verifies this.

References:
    Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators", OOPSLA.
"""

from __future__ import annotations

import functools
import statistics
import zlib
from typing import Any

import numpy as np

__all__ = [
    "LANES",
    "RESOLUTION",
    "continued",
    "first_state",
    "followed",
    "mixed",
    "normals",
    "quantiles",
]

STRIDE, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
MASK = (1 << 64) - 1
# Normal numbers are integers in units of 1 / RESOLUTION.
RESOLUTION = 4096
TABLE_CHECKSUM = 0x546C8CB1
# Number of normal numbers in a word of 64 bits.
LANES = 4


def mixed(words: np.ndarray) -> np.ndarray:
    """Words of 64 bits in which every bit depends on every input bit; the input is overwritten."""
    words ^= words >> np.uint64(30)
    words *= np.uint64(FIRST)
    words ^= words >> np.uint64(27)
    words *= np.uint64(SECOND)
    words ^= words >> np.uint64(31)
    return words


def _mixed_one(word: int) -> int:
    """`mixed` for one word."""
    word = (word ^ word >> 30) * FIRST & MASK
    word = (word ^ word >> 27) * SECOND & MASK
    return word ^ word >> 31


def first_state(seed: int) -> int:
    """The state before the first choice."""
    return _mixed_one((seed + STRIDE) & MASK)


def continued(states: np.ndarray, num_choices: int) -> np.ndarray:
    """States ``[states * num_choices]`` after each of several choices from each state."""
    choices = np.arange(1, num_choices + 1, dtype=np.uint64) * np.uint64(STRIDE)
    return mixed((states[:, None] + choices).ravel())


def followed(state: int, choices: list[int]) -> np.ndarray:
    """The states after each choice of one path."""
    states = np.empty(len(choices), np.uint64)
    for index, choice in enumerate(choices):
        state = _mixed_one((state + (choice + 1) * STRIDE) & MASK)
        states[index] = state
    return states


def normals(states: np.ndarray, places: Any) -> np.ndarray:
    """Normal numbers at positions of the streams of states, int16 in units of 1 / `RESOLUTION`.

    Args:
        states: States, uint64.
        places: Positions, integers from 0, of the same shape or one that broadcasts.
    """
    places = np.atleast_1d(np.asarray(places, np.uint64))
    # The complement separates the words of a stream from the states of its continuations.
    words = mixed(~states + (places // np.uint64(LANES) + np.uint64(1)) * np.uint64(STRIDE))
    lanes = np.uint64(16) * (places % np.uint64(LANES))
    return quantiles()[((words >> lanes) & np.uint64(0xFFFF)).astype(np.int64)]


@functools.cache
def quantiles() -> np.ndarray:
    """Quantiles of the standard normal at ``(i + 1/2) / 65,536``, int16 in 1 / `RESOLUTION`."""
    inverse = statistics.NormalDist().inv_cdf
    upper = [round(RESOLUTION * inverse((i + 0.5) / 65536)) for i in range(32768, 65536)]
    table = np.array([-x for x in reversed(upper)] + upper, "<i2")
    if zlib.crc32(table.tobytes()) != TABLE_CHECKSUM:
        raise ArithmeticError("The quantiles of the normal distribution are not those of the file.")
    table.flags.writeable = False
    return table.astype(np.int16)
