"""Random rearrangements of weights: nulls that tell structure apart from the scales of units."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np

__all__ = ["KINDS", "MANY_LEVELS", "Rearrangement", "rearranged", "shuffled"]

Rearrangement = Literal["within_rows", "within_columns", "renumbered"]
KINDS: tuple[Rearrangement, ...] = ("within_rows", "within_columns", "renumbered")

# Above so many levels a shuffle reaches for memory that no cache holds, and takes three times as
# long for each of them.
MANY_LEVELS = 1 << 24
NUM_HEAPS = 256
LEVELS_AT_ONCE = 1 << 20


def shuffled(
    levels: np.ndarray, rng: np.random.Generator, each: Callable[..., Iterable[Any]] = map
) -> np.ndarray:
    """The values of a matrix in a uniformly random order.

    Many values are first dealt to heaps, each to a random one, and every heap is shuffled by
    itself: as uniform as one shuffle, with all that is touched in the cache, and in parallel. The
    order is the same however many threads there are.

    Args:
        levels: A matrix.
        rng: Decides the order.
        each: Calls a function on every one of several arguments, as ``map`` does.

    References:
        Sandelius (1962), "A simple randomization procedure", JRSS B 24(2).
    """
    flat = levels.ravel()
    if flat.size <= MANY_LEVELS:
        return rng.permutation(flat).reshape(levels.shape)
    parts = [flat[i : i + LEVELS_AT_ONCE] for i in range(0, flat.size, LEVELS_AT_ONCE)]

    def deal(part: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        heap_of = rng.integers(NUM_HEAPS, size=part.size, dtype=np.uint8)
        sizes = np.bincount(heap_of, minlength=NUM_HEAPS)
        return part[np.argsort(heap_of, kind="stable")], sizes

    dealt = list(each(deal, parts, rng.spawn(len(parts))))
    ends = np.cumsum([sizes for _, sizes in dealt], axis=1)
    mixed = np.empty_like(flat)
    heaps, start = [], 0
    for number in range(NUM_HEAPS):
        pieces = [
            part[end[number] - sizes[number] : end[number]]
            for (part, sizes), end in zip(dealt, ends, strict=True)
        ]
        heap = mixed[start : start + sum(map(len, pieces))]
        np.concatenate(pieces, out=heap)
        heaps.append(heap)
        start += len(heap)

    def shuffle(heap: np.ndarray, rng: np.random.Generator) -> None:
        rng.shuffle(heap)

    list(each(shuffle, heaps, rng.spawn(NUM_HEAPS)))
    return mixed.reshape(levels.shape)


def rearranged(levels: np.ndarray, kind: Rearrangement, rng: np.random.Generator) -> np.ndarray:
    """The values of a matrix ``[out, in...]`` in a random order of a kind.

    ``"within_rows"`` shuffles the weights of each output unit among themselves and keeps the
    unit's scale; ``"within_columns"`` does so for each input. ``"renumbered"`` puts whole rows in
    another order, which leaves the function of the network as it is when the next layer's inputs
    follow: what it changes of the complexity is noise.
    """
    if kind == "renumbered":
        return levels[rng.permutation(len(levels))]
    return rng.permuted(levels, axis=1 if kind == "within_rows" else 0)
