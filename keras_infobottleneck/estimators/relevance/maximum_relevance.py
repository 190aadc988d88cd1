"""The largest relevance that a sample of a given size can have at each resolution.

Choose the number `m_k` of states seen `k` times to maximise

    sum_k f_k(m_k),   f_k(m) = -q log q - mu q log(k / M),   q = k m / M,   sum_k k m_k = M.

Relaxing the constraint with a multiplier `lam` separates the problem over `k`. For small `M` the
remaining distance to the dual bound is closed by an exact dynamic programme over the few
pairs `(k, m)` that the bound does not exclude.
"""

from __future__ import annotations

import dataclasses
import numbers

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_count, check_numbers
from keras_infobottleneck.results.result import Result

__all__ = [
    "MaximumRelevance",
    "maximum_relevance_curve",
    "solve_exactly",
    "solve_relaxed",
]

# Rounding of float64 sums of a few thousand terms: pairs this close to the bound are kept.
ROUNDING = 1e-9


def solve_relaxed(num_samples: int, mu: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Solves the problem up to a gap from the dual bound.

    Returns:
        The counts `k` used, the numbers of states `m_k`, and the gap to the dual bound in nats.
    """
    k, m, _, gap = _relaxation(num_samples, mu)
    return k[m > 0], m[m > 0], gap


def solve_exactly(num_samples: int, mu: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Solves the problem exactly; the result has the form of `solve_relaxed`, with gap 0.

    A pair `(k, m)` whose reduced cost exceeds the relaxation's gap cannot be in a better solution,
    so the dynamic programme runs over the other pairs only.
    """
    _, _, multiplier, gap = _relaxation(num_samples, mu)
    k = np.repeat(np.arange(1, num_samples + 1), num_samples // np.arange(1, num_samples + 1) + 1)
    starts = np.flatnonzero(np.diff(k, prepend=0))
    m = np.arange(len(k)) - np.repeat(starts, np.diff(starts, append=len(k)))
    value = _reduced_value(k, m, num_samples, mu, multiplier)
    best = np.maximum.reduceat(value, starts)
    keep = best[k - 1] - value <= gap + ROUNDING
    k, m, value = k[keep], m[keep], value[keep]

    reached = np.full(num_samples + 1, -np.inf)  # best value of the items so far, by their weight
    reached[0] = 0.0
    choices = []  # for each item, the m that gave each weight its value
    items = np.split(np.arange(len(k)), np.flatnonzero(np.diff(k)) + 1)
    items = [item for item in items if len(item) > 1 or m[item[0]] > 0]
    for item in items:
        extended = np.full((len(item), num_samples + 1), -np.inf)
        for row, pair in enumerate(item):
            weight = k[pair] * m[pair]
            extended[row, weight:] = reached[: num_samples + 1 - weight] + value[pair]
        choice = np.argmax(extended, axis=0)
        choices.append(choice.astype(np.int16))
        reached = np.take_along_axis(extended, choice[None], axis=0)[0]

    chosen, weight = [], num_samples
    for item, choice in zip(items[::-1], choices[::-1], strict=True):
        pair = item[choice[weight]]
        chosen.append(pair)
        weight -= k[pair] * m[pair]
    chosen = np.array(chosen[::-1])
    chosen = chosen[m[chosen] > 0]
    return k[chosen], m[chosen], 0.0


def _reduced_value(
    k: np.ndarray, m: np.ndarray, num_samples: int, mu: float, multiplier: float
) -> np.ndarray:
    """Lagrangian value of `m` states that are each seen `k` times, with `0 log 0 = 0`."""
    share = k * m / num_samples
    log_share = np.log(np.where(share > 0, share, 1.0))
    return -share * (log_share + mu * np.log(k / num_samples) + multiplier)


def _relaxation(num_samples: int, mu: float) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Relaxes the constraint: counts `k`, repaired `m_k`, multiplier, and gap to the bound."""
    # At the optimum m_k >= 1 for every k up to a largest one, which k (k + 1) / 2 <= M bounds.
    k = np.arange(1, int(np.sqrt(2 * num_samples)) + 2)
    low = -1.0 - abs(mu) * np.log(num_samples)  # every share is 1 or more: far too heavy
    high = (1 + max(mu, 0)) * np.log(num_samples) + 1.0  # every share is 0
    for _ in range(100):
        middle = (low + high) / 2
        if np.sum(k * _best_multiplicity(k, num_samples, mu, middle)) > num_samples:
            low = middle
        else:
            high = middle
    m = _best_multiplicity(k, num_samples, mu, high)
    dual = np.sum(_reduced_value(k, m, num_samples, mu, high))
    m = _repaired(k, m, num_samples, mu, high)
    primal = np.sum(_reduced_value(k, m, num_samples, mu, high))
    return k, m, high, max(float(dual - primal), 0.0)


def _best_multiplicity(k: np.ndarray, num_samples: int, mu: float, multiplier: float) -> np.ndarray:
    """Integer `m` for each `k` that maximises the reduced value, which is concave in `m`."""
    log_share = np.minimum(-1 - multiplier - mu * np.log(k / num_samples), 0.0)
    below = np.floor(np.exp(log_share) * num_samples / k).astype(np.int64)
    value = _reduced_value(k, below, num_samples, mu, multiplier)
    above = _reduced_value(k, below + 1, num_samples, mu, multiplier)
    return below + (above > value)


def _repaired(
    k: np.ndarray, m: np.ndarray, num_samples: int, mu: float, multiplier: float
) -> np.ndarray:
    """Counts `m_k` that use all samples, by the cheapest changes of one or two of them by 1."""
    m = m.copy()
    while True:
        left = int(num_samples - np.sum(k * m))
        if left == 0:
            return m
        value = _reduced_value(k, m, num_samples, mu, multiplier)
        gain = _reduced_value(k, m + 1, num_samples, mu, multiplier) - value
        loss = _reduced_value(k, m - 1, num_samples, mu, multiplier) - value
        loss[m == 0] = -np.inf
        if left > len(k):  # too many for one k: the best single step per sample
            m[np.argmax(gain / k)] += 1
            continue
        # One more state of k + left and one less of k; or two states more, of k and left - k.
        options: list[tuple[float, list[int], list[int]]] = [(gain[left - 1], [left - 1], [])]
        traded = gain[left:] + loss[: len(k) - left]
        if len(traded):
            first = int(np.argmax(traded))
            options.append((traded[first], [first + left], [first]))
        if left > 2:
            split = gain[: (left - 1) // 2] + gain[left - 2 : left - 2 - (left - 1) // 2 : -1]
            first = int(np.argmax(split))
            options.append((split[first], [first, left - 2 - first], []))
        _, more, fewer = max(options, key=lambda option: option[0])
        m[more] += 1
        m[fewer] -= 1


# Up to this size the exact programme takes well under a second per point.
LARGEST_EXACT = 10_000
LARGEST_NUM_SAMPLES = 10**9
# From almost noise-free samples through maximal relevance (0) and Zipf's law (1) to samples whose
# states are almost all distinct.
DEFAULT_MU = np.concatenate(
    [[-0.99], np.arange(-0.9, 2, 0.1), np.arange(2, 5, 0.25), [5, 6, 8, 11]]
).round(2)


@dataclasses.dataclass(frozen=True)
class MaximumRelevance(Result):
    """Points of maximal `H[K] + mu H[s]`, vertices of the hull of what a sample can reach.

    Attributes:
        resolution: `H[s] / log M` of each point, increasing.
        relevance: `H[K] / log M` of each point.
        mu: Trade-off that each point maximises; the hull has slope `-mu` there.
        gap: Upper bound on how much `H[K] + mu H[s]`, in units of `log M`, could still grow; 0
            if the solution is exact.
        num_samples: Number `M` of samples.

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
        """The largest relevance and its resolution, the largest gap, and the number of samples."""
        best = int(np.argmax(self.relevance))
        return {
            "relevance": float(self.relevance[best]),
            "resolution": float(self.resolution[best]),
            "gap": float(self.gap.max()),
            **super().numbers(),
        }

    def __repr__(self) -> str:
        best = int(np.argmax(self.relevance))
        return (
            f"MaximumRelevance(num_samples={self.num_samples}, points={len(self.mu)}, "
            f"largest relevance {self.relevance[best]:.3f} at resolution "
            f"{self.resolution[best]:.3f}, gap at most {self.gap.max():.1e})"
        )

    def at(self, resolution: ArrayLike) -> np.float64 | np.ndarray:
        """Relevance of the hull at a resolution in [0, 1], interpolated between its vertices.

        The ends are (0, 0) and (1, 0). The hull is concave, and no sample lies above the true one.
        Interpolation lies below the true hull by at most the distance to the intersection of the
        tangents: with the default `mu` 9e-3 for a few samples, 3e-3 from 20 on, 1e-3 from 1,000 on;
        with twice as many `mu` less than half of that.
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


def _turns_left(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether `b` lies on or below the line from `a` to `c`."""
    return (b[0] - a[0]) * (c[1] - a[1]) >= (b[1] - a[1]) * (c[0] - a[0])


def maximum_relevance_curve(num_samples: int, *, mu: ArrayLike | None = None) -> MaximumRelevance:
    """Maximally informative samples: for each `mu`, the counts that maximise `H[K] + mu H[s]`.

    With `m_k` states seen `k` times and `q_k = k m_k / M`,

        maximise  - sum_k q_k log q_k - mu sum_k q_k log(k / M)   with  sum_k k m_k = M,

    over integers `m_k >= 0`. Up to 10,000 samples the solution is exact (dynamic programme). Above,
    it is a lower bound from Lagrangian relaxation whose distance to the dual bound is `gap` (below
    1e-3). The continuous solution `m_k ~ k^(-1 - mu)` is not used, because it ignores that `m_k`
    are integers and overestimates the relevance by far.

    Cost: under a second in total below 1,000 samples, seconds at 10,000; about 10 ms per point and
    `sqrt(2 M)` numbers of memory above.

    Args:
        num_samples: Number `M` of samples, from 2 to 10^9.
        mu: Increasing trade-offs above -1; by default 46 values from -0.99 to 11.

    Raises:
        TypeError: The number of samples is not an integer.
        ValueError: The number of samples or a `mu` is out of range.

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


def _point(
    frequencies: np.ndarray, multiplicities: np.ndarray, gap: float, num_samples: int
) -> np.ndarray:
    """Resolution, relevance and gap in units of log M."""
    share = frequencies * multiplicities / num_samples
    resolution = -np.sum(share * np.log(frequencies / num_samples))
    relevance = -np.sum(share * np.log(share))
    return np.array([resolution, relevance, gap]) / np.log(num_samples) + 0.0  # no -0
