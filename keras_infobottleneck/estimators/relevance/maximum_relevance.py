"""The largest relevance that a sample of a given size can have at each resolution."""

from __future__ import annotations

import dataclasses
import numbers

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_count, check_numbers
from keras_infobottleneck.estimators.relevance.relevance_knapsack import (
    solve_exactly,
    solve_relaxed,
)
from keras_infobottleneck.results.result import Result

__all__ = ["MaximumRelevance", "maximum_relevance_curve"]

# Up to here the exact programme takes well under a second per point.
LARGEST_EXACT = 10_000
LARGEST_NUM_SAMPLES = 10**9
# From almost noise-free samples through maximal relevance (0) and Zipf (1) to almost all distinct.
DEFAULT_MU = np.concatenate(
    [[-0.99], np.arange(-0.9, 2, 0.1), np.arange(2, 5, 0.25), [5, 6, 8, 11]]
).round(2)


@dataclasses.dataclass(frozen=True)
class MaximumRelevance(Result):
    """Points of maximal `H[K] + mu H[s]`: vertices of the hull of what a sample can reach.

    Attributes:
        resolution: `H[s] / log M` of each point, increasing.
        relevance: `H[K] / log M` of each point.
        mu: the trade-off that each point maximises; the hull has slope `-mu` there.
        gap: upper bound on how much `H[K] + mu H[s]`, in units of `log M`, could still grow; 0
            where the solution is exact.
        num_samples: `M`.

    Example:
        ```python
        import keras_infobottleneck as kib

        curve = kib.estimators.maximum_relevance_curve(1000)
        print(float(curve.at(0.784).round(3)))  # the most relevance at this resolution
        ```

        ```text
        0.405
        ```
    """

    resolution: np.ndarray
    relevance: np.ndarray
    mu: np.ndarray
    gap: np.ndarray
    num_samples: int

    _points = ("resolution", "relevance", "mu", "gap")

    def numbers(self) -> dict[str, float]:
        """The largest relevance and where it is, the largest gap, and the number of samples."""
        best = int(np.argmax(self.relevance))
        return {
            "relevance": float(self.relevance[best]),
            "resolution": float(self.resolution[best]),
            "gap": float(self.gap.max()),
            **super().numbers(),
        }

    def __repr__(self):
        best = int(np.argmax(self.relevance))
        return (
            f"MaximumRelevance(num_samples={self.num_samples}, points={len(self.mu)}, "
            f"largest relevance {self.relevance[best]:.3f} at resolution "
            f"{self.resolution[best]:.3f}, gap at most {self.gap.max():.1e})"
        )

    def at(self, resolution: ArrayLike):
        """Relevance of the hull at a resolution in [0, 1]: its vertices and (0, 0), (1, 0) joined.

        The hull is concave and no sample lies above the true one. Joining the vertices found stays
        below it by no more than where their tangents meet: with the default `mu` 9e-3 for a few
        samples, 3e-3 from 20 on, 1e-3 from 1,000 on; with twice as many `mu` less than half.
        """
        resolution = check_numbers("resolution", resolution, None, 0, 1)
        x, y = self.hull()
        return np.interp(resolution, x, y)[()]

    def hull(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices of the upper hull from (0, 0) to (1, 0), resolution increasing."""
        vertices: list[tuple[float, float]] = []
        points = zip(self.resolution.tolist(), self.relevance.tolist(), strict=True)
        for x, y in sorted({(0.0, 0.0), *points, (1.0, 0.0)}):
            while len(vertices) > 1 and _turns_left(vertices[-2], vertices[-1], (x, y)):
                vertices.pop()
            vertices.append((x, y))
        x, y = np.array(vertices).T
        return x, y


def _turns_left(a, b, c):
    """Whether `b` lies on or below the line from `a` to `c`."""
    return (b[0] - a[0]) * (c[1] - a[1]) >= (b[1] - a[1]) * (c[0] - a[0])


def maximum_relevance_curve(num_samples: int, *, mu: ArrayLike | None = None) -> MaximumRelevance:
    """Maximally informative samples: for each `mu` the counts that maximise `H[K] + mu H[s]`.

    With `m_k` states seen `k` times and `q_k = k m_k / M`,

        maximise  - sum_k q_k log q_k - mu sum_k q_k log(k / M)   with  sum_k k m_k = M,

    over integers `m_k >= 0`. Up to 10,000 samples the solution is exact (dynamic programme); above,
    it is a lower bound from Lagrangian relaxation whose distance to the dual bound is `gap` (below
    1e-3). The continuous solution `m_k ~ k^(-1 - mu)` is not used: it ignores that `m_k` are
    integers and over-estimates the relevance by far.

    Cost: under a second in total below 1,000 samples, seconds at 10,000; about 10 ms per point and
    `sqrt(2 M)` numbers of memory above.

    Args:
        num_samples: `M`, from 2 to 10^9.
        mu: increasing trade-offs above -1 to solve for; by default 46 from -0.99 to 11.

    Raises:
        TypeError: for a number of samples that is not an integer.
        ValueError: for a number of samples or a `mu` out of range.

    References:
        Song, Marsili, Jo (2018), arXiv 1710.11324; Cubero, Jo, Marsili, Roudi, Song (2019),
        arXiv 1808.00249.

    Example:
        ```python
        import keras_infobottleneck as kib

        curve = kib.estimators.maximum_relevance_curve(1000, mu=[1.0])  # Zipf's law
        print(curve.resolution.round(3), curve.relevance.round(3))
        ```

        ```text
        [0.783] [0.406]
        ```
    """
    num_samples = check_count("num_samples", num_samples, 2, LARGEST_NUM_SAMPLES)
    mu = DEFAULT_MU if mu is None else [mu] if isinstance(mu, numbers.Real) else mu
    mu = check_numbers("mu", mu, "[points]", -1, open_below=True, increasing=True)
    solve = solve_exactly if num_samples <= LARGEST_EXACT else solve_relaxed
    points = np.array([_point(*solve(num_samples, trade_off), num_samples) for trade_off in mu])
    resolution, relevance, error = points.T
    return MaximumRelevance(resolution, relevance, mu.copy(), error, num_samples)


def _point(frequencies, multiplicities, gap, num_samples):
    """Resolution, relevance and gap in units of log M."""
    share = frequencies * multiplicities / num_samples
    resolution = -np.sum(share * np.log(frequencies / num_samples))
    relevance = -np.sum(share * np.log(share))
    return np.array([resolution, relevance, gap]) / np.log(num_samples) + 0.0  # no -0
