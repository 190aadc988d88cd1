"""The weights of each block: the same for the writer and the reader of a file.

The weights are put into an order that a seed decides and cut into blocks of equal expected
information, so that every block takes the same number of bits. What a weight is expected to hold
is known of its group, a tensor or a unit: its mean nats, on a grid. All of it is arithmetic of
integers.
"""

from __future__ import annotations

import math

import numpy as np

from keras_infobottleneck.compression.candidates import mixed

__all__ = ["block_ends", "demand_of", "drawing_order", "level_of", "places_in"]

# Demand 1 is 1 / 4,096 nats. Levels are half octaves; the last one is 128 nats a weight.
NATS_PER_DEMAND, LEVELS = 2.0**-12, 39
ROOT = 92681  # of 2, in 1 / 65,536


def drawing_order(seed: int, num_weights: int) -> np.ndarray:
    """A permutation of the weights, int64."""
    keys = np.arange(num_weights, dtype=np.uint64) * np.uint64(2)
    keys += np.uint64((2 * seed + 1) % 2**64 * 0x632BE59BD9B4E019 % 2**64)
    return np.argsort(mixed(keys), kind="stable")


def level_of(nats: float) -> int:
    """The level of expected information that is nearest to this many nats a weight."""
    demand = max(nats / NATS_PER_DEMAND, 1.0)
    return min(round(2.0 * math.log2(demand)), LEVELS - 1)


def demand_of(levels: np.ndarray) -> np.ndarray:
    """Expected information at each level, int64."""
    levels = np.asarray(levels, np.int64)
    whole = np.int64(1) << (levels // 2)
    return np.maximum(np.where(levels % 2, whole * ROOT >> 16, whole), 1)


def block_ends(demand: np.ndarray, num_blocks: int) -> np.ndarray:
    """Index behind the last weight of each block, of weights in their order.

    A weight belongs to the block in which its share of the information ends. A weight that takes
    more than a block leaves blocks without weights before it: they only tell paths apart.
    """
    total = int(demand.sum())
    limits = np.array([total * (block + 1) // num_blocks for block in range(num_blocks)], np.int64)
    return np.searchsorted(np.cumsum(demand), limits, side="right")


def places_in(ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Block of each weight, and its place within the block."""
    starts = np.concatenate([[0], ends[:-1]])
    block = np.repeat(np.arange(len(ends)), ends - starts)
    return block, np.arange(len(block)) - starts[block]
