"""Random rearrangements of weights: nulls that separate structure from the scales of units."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import numpy as np

__all__ = ["KINDS", "Rearrangement", "rearranged", "shuffles"]

Rearrangement = Literal["within_rows", "within_columns", "renumbered"]
KINDS: tuple[Rearrangement, ...] = ("within_rows", "within_columns", "renumbered")

# More levels than this are shuffled in heaps: a single shuffle would access memory outside the
# cache, and take up to six times as long per level.
MANY_LEVELS = 1 << 19
LEVELS_PER_HEAP = 1 << 16
# Values are distributed over heaps if each occurs at least this often, at one draw per value.
OCCURRENCES_PER_HEAP = 8


def shuffles(
    levels: np.ndarray,
    count: int,
    rng: np.random.Generator,
    each: Callable[..., Iterable[Any]] = map,
) -> Iterator[np.ndarray]:
    """The values of a matrix in uniformly random orders, one after the other.

    Many values are first distributed over heaps, each value to a random heap, and every heap is
    shuffled separately. This is as uniform as one shuffle, but uses the cache and several threads.
    Since a heap is shuffled, it does not matter which of several equal values it gets: only the
    number of each value is drawn, and nothing is moved. The order does not depend on the number of
    threads.

    Args:
        levels: A matrix of integers that are not negative.
        count: Number of orders.
        rng: Random generator, which determines the orders.
        each: Calls a function on every one of several arguments, like ``map``.

    References:
        Sandelius (1962), "A simple randomization procedure", JRSS B 24(2).
    """
    flat = levels.ravel()
    if flat.size <= MANY_LEVELS:
        for _ in range(count):
            mixed = flat.astype(np.int64)  # which NumPy shuffles in two thirds of the time
            rng.shuffle(mixed)
            yield mixed.astype(levels.dtype).reshape(levels.shape)
        return
    parts = range(0, flat.size, MANY_LEVELS)
    occurrences = np.zeros(int(flat.max()) + 1, np.int64)
    for tally in each(lambda start: np.bincount(flat[start : start + MANY_LEVELS]), parts):
        occurrences[: len(tally)] += tally
    values = np.flatnonzero(occurrences)
    num_heaps = flat.size // max(LEVELS_PER_HEAP, OCCURRENCES_PER_HEAP * len(values)) + 1

    def shuffle(mixed: np.ndarray, heap: np.ndarray, seed: np.random.SeedSequence) -> None:
        order = np.repeat(values, heap)
        np.random.Generator(np.random.SFC64(seed)).shuffle(order)  # NumPy's fastest
        mixed[:] = order

    def shuffled() -> np.ndarray:
        heaps = rng.multinomial(occurrences[values], np.full(num_heaps, 1 / num_heaps)).T
        mixed = np.empty_like(flat)
        rooms = np.split(mixed, heaps.sum(axis=1).cumsum()[:-1])
        seeds = np.random.SeedSequence(int(rng.integers(2**63))).spawn(num_heaps)
        list(each(shuffle, rooms, heaps, seeds))
        return mixed.reshape(levels.shape)

    for _ in range(count):
        yield shuffled()  # no variable keeps it in memory while the next one is made


def rearranged(levels: np.ndarray, kind: Rearrangement, rng: np.random.Generator) -> np.ndarray:
    """The values of a matrix ``[out, in...]`` in a random order of the given kind.

    ``"within_rows"`` shuffles the weights of each output unit separately and keeps the unit's
    scale; ``"within_columns"`` does so for each input. ``"renumbered"`` changes the order of whole
    rows, which does not change the function of the network if the next layer's inputs follow: its
    effect on the complexity is noise.
    """
    if kind == "renumbered":
        return levels[rng.permutation(len(levels))]
    return rng.permuted(levels, axis=1 if kind == "within_rows" else 0)
