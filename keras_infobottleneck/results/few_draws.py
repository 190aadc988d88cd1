"""The error of a mean of few random draws, whose spread is itself known from them alone."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["error_of_draws", "widening"]

# Where 1.96 standard deviations of a normal distribution end.
UPPER = 0.975


def error_of_draws(values: ArrayLike) -> float:
    """Error of the mean of independent draws, of which 1.96 hold the truth 95 times in 100.

    The spread of `n` draws over `sqrt(n)`, widened as Student's distribution of `n - 1` degrees of
    freedom asks: by 21 % for 8 draws, 8 % for 16, 2 % for 64.

    Args:
        values: at least two draws.
    """
    values = np.asarray(values, np.float64)
    return float(widening(len(values)) * values.std(ddof=1) / np.sqrt(len(values)))


@cache
def widening(num_draws: int) -> float:
    """Student's quantile of `num_draws - 1` degrees of freedom over the normal one."""
    from tensorflow_probability import distributions as tfd

    student = tfd.StudentT(df=np.float64(num_draws - 1), loc=0.0, scale=1.0)
    normal = tfd.Normal(np.float64(0.0), np.float64(1.0))
    return float(student.quantile(UPPER) / normal.quantile(UPPER))
