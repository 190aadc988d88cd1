"""The weights of each block, computed in the same way by the writer and the reader of a file.

The weights are permuted by a seed and divided into blocks of equal expected information, so that
every block needs the same number of bits. The expected information of a weight is the mean number
of nats in its group, a tensor or a unit, rounded to a grid. All computations are in integer
arithmetic.
"""

from __future__ import annotations

import math

import numpy as np

from keras_infobottleneck.compression.candidates import mixed

__all__ = ["block_ends", "demand_of", "drawing_order", "level_of", "places_in"]

# A demand of 1 is 1 / 4,096 nats. Levels are half octaves; the last one is 128 nats per weight.
NATS_PER_DEMAND, LEVELS = 2.0**-12, 39
ROOT = 92681  # square root of 2, in units of 1 / 65,536


def drawing_order(seed: int, num_weights: int) -> np.ndarray:
    """A permutation of the weights, int64."""
    keys = np.arange(num_weights, dtype=np.uint64) * np.uint64(2)
    keys += np.uint64((2 * seed + 1) % 2**64 * 0x632BE59BD9B4E019 % 2**64)
    return np.argsort(mixed(keys), kind="stable")


def level_of(nats: float) -> int:
    """The level of expected information that is closest to this number of nats per weight."""
    demand = max(nats / NATS_PER_DEMAND, 1.0)
    return min(round(2.0 * math.log2(demand)), LEVELS - 1)


def demand_of(levels: np.ndarray) -> np.ndarray:
    """Expected information at each level, int64."""
    levels = np.asarray(levels, np.int64)
    whole = np.int64(1) << (levels // 2)
    return np.maximum(np.where(levels % 2, whole * ROOT >> 16, whole), 1)


def block_ends(demand: np.ndarray, num_blocks: int) -> np.ndarray:
    """Index after the last weight of each block, for weights in their drawing order.

    A weight belongs to the block in which its share of the information ends. A weight that needs
    more than one block is preceded by blocks without weights, which only separate paths.
    """
    total = int(demand.sum())
    limits = np.array([total * (block + 1) // num_blocks for block in range(num_blocks)], np.int64)
    return np.searchsorted(np.cumsum(demand), limits, side="right")


def places_in(ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Block of each weight, and its position within the block."""
    starts = np.concatenate([[0], ends[:-1]])
    block = np.repeat(np.arange(len(ends)), ends - starts)
    return block, np.arange(len(block)) - starts[block]
