"""How closely a sample follows Zipf's law: exponent of its counts and slope of its curve."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_count, check_numbers, described
from keras_infobottleneck.estimators.relevance.state_counts import StateCounts, check_counts
from keras_infobottleneck.results.result import Result

__all__ = ["RelevanceSlope", "ZipfExponent", "relevance_slope", "zipf_exponent"]

# Number of terms summed before Euler-Maclaurin is used; its error is then below 1e-12.
DIRECT_TERMS = 1000
LARGEST_GAMMA = 100.0


@dataclasses.dataclass(frozen=True, repr=False)
class ZipfExponent(Result):
    """Fit of `m_k ~ k^-gamma` to the counts of states.

    Attributes:
        mu: `gamma - 1`; 1 is Zipf's law, and `k_r ~ r^(-1/mu)` is the rank-frequency curve.
        gamma: Exponent of the number of states with a given count.
        standard_error: Standard error of both.
        min_count: Smallest count in the fit.
        num_states: Number of states in the fit.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        counts = np.random.default_rng(0).zipf(2.0, 2000)
        fit = kib.estimators.zipf_exponent(counts)
        print(f"gamma {fit.gamma:.1f}, mu {fit.mu:.1f}")
        ```

        ```text
        gamma 2.0, mu 1.0
        ```
    """

    mu: float
    gamma: float
    standard_error: float
    min_count: int
    num_states: int


def zipf_exponent(counts: ArrayLike | StateCounts, *, min_count: int = 1) -> ZipfExponent:
    """Maximum-likelihood exponent of the distribution `p(k) = k^-gamma / zeta(gamma, min_count)`.

    Solves the likelihood equation `mean log k = -d log zeta / d gamma` (the usual closed form is
    an approximation that gives 1.79 for 2 at `min_count=1`). Consistent; the standard error is the
    inverse square root of the Fisher information and assumes independent counts. An upper cut-off
    is not modelled. Cost: a few milliseconds.

    Args:
        counts: Integers `[num_states]`, the counts `k_s`, or a `StateCounts`; those below
            `min_count` are left out.
        min_count: Smallest count that follows the distribution.

    Raises:
        TypeError: The counts are not integers.
        ValueError: The shape or `min_count` is wrong, there are fewer than 2 different counts, or
            the counts are so close together that the exponent exceeds 100.

    References:
        Clauset, Shalizi, Newman (2009), arXiv 0706.1062, appendix B.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        counts = np.random.default_rng(0).zipf(2.5, 5000)
        fit = kib.estimators.zipf_exponent(counts)
        print(abs(fit.gamma - 2.5) < 4 * fit.standard_error)
        ```

        ```text
        True
        ```
    """
    given = check_counts(counts)
    min_count = check_count("min_count", min_count)
    counts = given[given >= min_count]
    if len(counts) == 0 or counts.max() == counts.min():
        raise ValueError(
            "`counts` must hold at least 2 different ones of at least `min_count`. "
            f"Received: counts={described(given)}, min_count={min_count}"
        )
    mean_log = float(np.mean(np.log(counts / min_count)))
    if -_log_zeta_derivatives(LARGEST_GAMMA, min_count)[0] > mean_log:
        raise ValueError(
            f"`counts` must spread so far that their exponent is at most {LARGEST_GAMMA:g}; use "
            f"a smaller `min_count`. Received: counts up to {counts.max()}, min_count={min_count}"
        )
    low, high = 1.0, LARGEST_GAMMA
    for _ in range(100):
        gamma = (low + high) / 2
        if -_log_zeta_derivatives(gamma, min_count)[0] > mean_log:
            low = gamma
        else:
            high = gamma
    information = len(counts) * _log_zeta_derivatives(gamma, min_count)[1]
    return ZipfExponent(
        mu=gamma - 1,
        gamma=gamma,
        standard_error=float(information**-0.5),
        min_count=min_count,
        num_states=len(counts),
    )


def _log_zeta_derivatives(gamma: float, start: int) -> tuple[float, float]:
    """First and second derivative by gamma of `log sum_{k >= start} (k / start)^-gamma`."""
    k = np.arange(start, start + DIRECT_TERMS, dtype=float)
    log_k = np.log(k / start)  # relative to the first term, so that large gamma does not underflow
    terms = np.exp(-gamma * log_k)
    sums = np.array([terms.sum(), terms @ log_k, terms @ log_k**2])
    end = float(start + DIRECT_TERMS)
    log_end, decay = np.log(end / start), gamma - 1
    # Tail: the integral of x^-gamma log^j, half the first term, and the first-derivative term.
    tail = np.exp(-gamma * log_end)
    integral = end * np.array(
        [
            1 / decay,
            log_end / decay + 1 / decay**2,
            log_end**2 / decay + 2 * log_end / decay**2 + 2 / decay**3,
        ]
    )
    powers = log_end ** np.arange(3)
    slope = np.array([0.0, 1.0, 2 * log_end]) - gamma * powers
    sums += tail * (integral + powers / 2 - slope / (12 * end))
    mean = sums[1] / sums[0]
    return -mean, sums[2] / sums[0] - mean**2


@dataclasses.dataclass(frozen=True, repr=False)
class RelevanceSlope(Result):
    """Slope `dH[K] / dH[s] = -mu` between neighbouring points of a resolution-relevance curve.

    Attributes:
        resolution: Midpoints of the steps, increasing.
        slope: Slope of each step; -1 is Zipf's point, where resolution and relevance trade one for
            one.
        optimum: Resolution of the right-most step with slope within 10 % of -1, or of the step
            with the slope closest to it.

    Example:
        ```python
        import keras_infobottleneck as kib

        slopes = kib.estimators.relevance_slope([0.9, 0.8, 0.6], [0.1, 0.25, 0.35])
        print(slopes.slope.round(2))
        ```

        ```text
        [-0.5 -1.5]
        ```
    """

    resolution: np.ndarray
    slope: np.ndarray
    optimum: float

    _points = ("resolution", "slope")


def relevance_slope(
    resolution: ArrayLike, relevance: ArrayLike, *, points_per_step: int = 1
) -> RelevanceSlope:
    """Local slopes between the points of a curve, such as those of layers or widths of a network.

    The points are sorted by resolution and averaged in groups of `points_per_step` before slopes
    are computed. Points of equal resolution are averaged too. Consistent as the points grow dense.

    Args:
        resolution: Resolution of each point, `[points]`.
        relevance: Relevance of each point, `[points]`.
        points_per_step: Number of neighbouring points to average.

    Raises:
        ValueError: The shapes differ, or there are fewer than 2 different resolutions.

    References:
        The rule for the optimum is that of the PrOpRe package (github.com/potestiolab/propre).

    Example:
        ```python
        import keras_infobottleneck as kib

        slopes = kib.estimators.relevance_slope([0.9, 0.8, 0.6], [0.1, 0.2, 0.25])
        print(slopes.slope.round(2), round(slopes.optimum, 2))  # where it is nearest to -1
        ```

        ```text
        [-0.25 -1.  ] 0.85
        ```
    """
    resolution = check_numbers("resolution", resolution, "[points]")
    relevance = check_numbers("relevance", relevance, f"[{len(resolution)}]")
    check_count("points_per_step", points_per_step)
    order = np.argsort(resolution)
    groups = np.arange(len(order)) // points_per_step
    x, y = _group_means(groups, resolution[order], relevance[order])
    x, y = _group_means(np.unique(x, return_inverse=True)[1], x, y)
    if len(x) < 2:
        raise ValueError(
            "`resolution` must hold at least 2 different ones. "
            f"Received: {len(x)} after averaging {points_per_step} points per step"
        )
    slope = np.diff(y) / np.diff(x)
    middle = (x[1:] + x[:-1]) / 2
    near = np.flatnonzero(np.abs(slope + 1) <= 0.1)
    best = near[-1] if len(near) else np.argmin(np.abs(slope + 1))
    return RelevanceSlope(middle, slope, float(middle[best]))


def _group_means(groups: np.ndarray, *values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Mean of each array over the members of each group."""
    sizes = np.bincount(groups)
    return tuple(np.bincount(groups, weights=value) / sizes for value in values)
