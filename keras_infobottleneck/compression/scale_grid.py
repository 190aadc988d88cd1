"""Scales on a geometric grid with 32 points per octave: an integer index for each.

They are computed with products, square roots and powers of two only, which IEEE 754 rounds
identically on every machine.
"""

from __future__ import annotations

import math

__all__ = ["LARGEST_INDEX", "index_of", "scale_at"]

STEPS_PER_OCTAVE = 32
# Indices range from 2 ** -127 to 2 ** 127.
LARGEST_INDEX = 127 * STEPS_PER_OCTAVE


def index_of(scale: float, coarseness: int = 1) -> int:
    """Index, a multiple of `coarseness`, of the grid point that is closest to a scale."""
    octaves = math.log2(max(scale, 2.0**-127))
    index = coarseness * round(octaves * STEPS_PER_OCTAVE / coarseness)
    return min(max(index, -LARGEST_INDEX), LARGEST_INDEX)


def scale_at(index: int) -> float:
    """The scale ``2 ** (index / 32)``."""
    octave, step = divmod(index, STEPS_PER_OCTAVE)
    root, scale = 2.0, 1.0
    for bit in (16, 8, 4, 2, 1):
        root = math.sqrt(root)
        if step & bit:
            scale *= root
    return math.ldexp(scale, octave)
