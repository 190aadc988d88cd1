"""Pairs of examples that occur several times, whose copies look like information."""

from __future__ import annotations

import numpy as np

__all__ = ["num_repeated"]


def num_repeated(z: np.ndarray, x: np.ndarray) -> int:
    """Number of pairs that are copies of others, found by values that occur in one pair only.

    Discrete variables also repeat pairs, but their values occur in many different pairs: they have
    few different pairs, or none that is identified by one value. A pair with more than
    `sqrt(num_examples)` copies does not count either: units that are at rest or saturated together
    have such values.

    Args:
        z, x: ``[num_examples, units]`` each.
    """
    pairs = np.concatenate([z, x], 1)
    _, which, times = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    most = np.sqrt(len(pairs))
    if len(times) <= most or len(times) == len(pairs):
        return 0
    often, is_told = times[which.reshape(-1)], np.zeros(len(pairs), bool)
    for values in pairs.T:
        _, of_value, count = np.unique(values, return_inverse=True, return_counts=True)
        is_told |= count[of_value.reshape(-1)] == often
    is_repeated = is_told & (often > 1) & (often <= most)
    return round(float(np.sum(1.0 - 1.0 / often[is_repeated])))
