"""Weights in another arrangement, by which arrangement is told from the scales of units."""

from typing import Literal

import numpy as np

__all__ = ["KINDS", "Rearrangement", "rearranged"]

Rearrangement = Literal["within_rows", "within_columns", "renumbered"]
KINDS: tuple[Rearrangement, ...] = ("within_rows", "within_columns", "renumbered")


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
