"""The error of the mean of a few random draws, whose spread is itself estimated from them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["error_of_draws", "widening"]

# Probability below 1.96 standard deviations of a normal distribution.
UPPER = 0.975


def error_of_draws(values: ArrayLike) -> float:
    """Error of the mean of independent draws; 1.96 of it cover the truth in 95 of 100 cases.

    It is the standard deviation of the `n` draws over `sqrt(n)`, multiplied by the ratio of the
    quantiles of Student's t (`n - 1` degrees of freedom) and the normal distribution: 21 % more
    for 8 draws, 8 % for 16, 2 % for 64.

    Args:
        values: At least two draws.
    """
    values = np.asarray(values, np.float64)
    return float(widening(len(values)) * values.std(ddof=1) / np.sqrt(len(values)))


@cache
def widening(num_draws: int) -> float:
    """Quantile of Student's t with `num_draws - 1` degrees of freedom over the normal one."""
    from tensorflow_probability import distributions as tfd

    student = tfd.StudentT(df=np.float64(num_draws - 1), loc=0.0, scale=1.0)
    normal = tfd.Normal(np.float64(0.0), np.float64(1.0))
    return float(student.quantile(UPPER) / normal.quantile(UPPER))
