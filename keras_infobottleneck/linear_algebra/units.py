"""Scaling of each unit of a layer: to magnitudes near 1, or to mean 0 and deviation 1."""

from __future__ import annotations

import numpy as np

__all__ = ["of_order_one", "standardised"]


def of_order_one(values: np.ndarray, axis: int | None = 0) -> np.ndarray:
    """Divides each unit by a power of two, so that its largest magnitude is about 1, in float64.

    Squares and sums of the result neither overflow nor underflow, and no digit is lost: results
    that do not depend on the scale of a unit stay the same to the last bit.

    Args:
        values: `[num_examples, ...]`, finite; the first axis is examples.
        axis: Axis of the maximum; None for one power of two for all units.
    """
    values = np.asarray(values, np.float64)
    return np.ldexp(values, -np.frexp(np.abs(values).max(axis=axis))[1])


def standardised(values: np.ndarray) -> np.ndarray:
    """Values with mean 0 and standard deviation 1 for each unit; constant units become 0.

    Args:
        values: `[num_examples, ...]`, finite.
    """
    values = of_order_one(values)
    varies = np.ptp(values, axis=0) > 0
    centred = np.where(varies, values - values.mean(axis=0), 0.0)
    return centred / np.where(varies, values.std(axis=0), 1.0)
