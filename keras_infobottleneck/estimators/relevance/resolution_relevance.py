"""Resolution and relevance of a sample of states, and their values for independent units."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import (
    check_choice,
    check_count,
    check_integers,
    check_numbers,
    described,
    refusal,
    seed_or_fresh,
)
from keras_infobottleneck.estimators.relevance.state_counts import StateCounts, check_counts
from keras_infobottleneck.estimators.relevance.state_keys import (
    check_states,
    check_sum,
    state_keys,
    tally,
)
from keras_infobottleneck.results.result import Result

__all__ = [
    "RelevanceNull",
    "ResolutionRelevance",
    "of_checked_counts",
    "relevance_null",
    "resolution_relevance",
    "resolution_relevance_of_counts",
]


@dataclasses.dataclass(frozen=True)
class ResolutionRelevance(Result):
    """Position of a sample on the resolution-relevance plane.

    Attributes:
        resolution: `H[s] / log M`, in [0, 1].
        relevance: `H[K] / log M`, in [0, resolution].
        noise: `H[s|K] / log M = resolution - relevance`.
        resolution_nats: `H[s]` in nats.
        relevance_nats: `H[K]` in nats.
        num_samples: Number `M` of samples.
        num_states: Number of distinct states.

    Example:
        ```python
        import keras_infobottleneck as kib

        point = kib.estimators.resolution_relevance_of_counts([4, 3, 2, 1])
        print(f"{point.resolution:.3f} {point.relevance:.3f} {point.noise:.3f}")  # units of log 10
        ```

        ```text
        0.556 0.556 0.000
        ```
    """

    resolution: float
    relevance: float
    noise: float
    resolution_nats: float
    relevance_nats: float
    num_samples: int
    num_states: int

    def __repr__(self) -> str:
        return (
            f"ResolutionRelevance(resolution={self.resolution:.4f}, "
            f"relevance={self.relevance:.4f}, noise={self.noise:.4f}, "
            f"num_samples={self.num_samples}, num_states={self.num_states})"
        )


def resolution_relevance(
    states: ArrayLike | StateCounts, *, num_levels: int | None = None
) -> ResolutionRelevance:
    """Entropy of the states and of their frequencies, in units of `log M` and in nats.

    With `k_s` the count of state `s` and `m_k` the number of states seen `k` times:

        resolution  H[s] = - sum_s (k_s / M) log(k_s / M)
        relevance   H[K] = - sum_k (k m_k / M) log(k m_k / M)

    Exact for the sample. As estimates for the source both are biased by the finite sample, and
    fluctuations of counts alone create relevance: compare with `relevance_null`.
    Cost: one sort of `M` keys of 8 bytes (16 for states wider than 64 bits).

    Args:
        states: Bool or integer array `[num_samples, units]`, integer labels `[num_samples]`, or a
            `StateCounts`.
        num_levels: Number of levels of each unit; by default the largest value plus one.

    Raises:
        TypeError: The states are neither bool nor integer.
        ValueError: The shape is wrong, values are outside the levels, or there are fewer than 2
            samples.

    References:
        Song, Marsili, Jo (2018), arXiv 1710.11324.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        states = np.array([[0, 0], [0, 1], [0, 1], [1, 1], [1, 1], [1, 1]])  # [examples, units]
        point = kib.estimators.resolution_relevance(states)
        print(point.num_states, f"{point.resolution_nats:.3f} nats")
        ```

        ```text
        3 1.011 nats
        ```
    """
    check_count("num_levels", num_levels, 2, optional=True)
    if isinstance(states, StateCounts):
        counts, num_samples = states.counts, states.num_samples
    else:
        given = check_states(states)
        counts, num_samples = tally(state_keys(given, num_levels))[1], len(given)
    if num_samples < 2:
        raise refusal(ValueError, "states", "be of at least 2 samples", states)
    return of_checked_counts(counts, num_samples)


def resolution_relevance_of_counts(counts: ArrayLike | StateCounts) -> ResolutionRelevance:
    """`resolution_relevance` from the counts `k_s` of the states; zeros are ignored.

    Args:
        counts: Non-negative integers `[num_states]`, or a `StateCounts`.

    Raises:
        TypeError: The counts are not integers.
        ValueError: The shape is wrong, counts are negative, or their sum is below 2 or above
            2^63 - 1.

    Example:
        ```python
        import keras_infobottleneck as kib

        alike = kib.estimators.resolution_relevance_of_counts([100] * 10)
        print(f"{alike.resolution:.3f} {alike.relevance:.3f}")  # equal counts tell nothing
        ```

        ```text
        0.333 0.000
        ```
    """
    counts = check_counts(counts)
    num_samples = check_sum("counts", counts, 2, "be of at least 2 samples")
    return of_checked_counts(counts.astype(np.int64), num_samples)


def of_checked_counts(counts: np.ndarray, num_samples: int) -> ResolutionRelevance:
    """`resolution_relevance_of_counts` without the checks, which take a third of its time."""
    frequencies, multiplicities = _multiplicities(counts)
    share = frequencies * multiplicities / num_samples
    resolution = -float(np.sum(share * np.log(frequencies / num_samples)))
    noise = float(np.sum(share * np.log(multiplicities)))
    relevance = -float(np.sum(share * np.log(share)))
    unit = np.log(num_samples)
    return ResolutionRelevance(
        resolution=resolution / unit + 0.0,
        relevance=relevance / unit + 0.0,
        noise=noise / unit,
        resolution_nats=resolution + 0.0,
        relevance_nats=relevance + 0.0,
        num_samples=num_samples,
        num_states=int(multiplicities.sum()),
    )


def _multiplicities(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct positive counts `k`, and the number `m_k` of states with each."""
    largest = int(counts.max())
    if largest > 16 * len(counts):  # a table over all counts would be mostly empty
        frequencies, multiplicities = np.unique(counts[counts > 0], return_counts=True)
        return frequencies, multiplicities
    table = np.bincount(counts, minlength=2)
    table[0] = 0
    frequencies = np.flatnonzero(table)
    return frequencies, table[frequencies]


@dataclasses.dataclass(frozen=True)
class RelevanceNull(Result):
    """Resolution and relevance of surrogate samples: means and spreads, in units of `log M`.

    Attributes:
        resolution, resolution_std: Mean and spread of the surrogates with all units.
        relevance, relevance_std: Mean and spread of the surrogates with all units.
        curve_units: Numbers of units of the nested surrogates.
        curve_resolution, curve_relevance, curve_relevance_std: Values for these numbers of units.
        kind: "shuffled" or "independent".
        num_draws: Number of surrogate samples.
        seed: Seed of the surrogates.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        states = np.random.default_rng(0).random((500, 8)) < 0.3  # [examples, units]
        null = kib.estimators.relevance_null(states, seed=0)
        print(f"H[s] {null.resolution:.2f}, H[K] {null.relevance:.2f} with units shuffled apart")
        ```

        ```text
        H[s] 0.74, H[K] 0.41 with units shuffled apart
        ```
    """

    resolution: float
    resolution_std: float
    relevance: float
    relevance_std: float
    curve_units: np.ndarray
    curve_resolution: np.ndarray
    curve_relevance: np.ndarray
    curve_relevance_std: np.ndarray
    kind: str
    num_draws: int
    seed: int | None = None

    _points = ("curve_units", "curve_resolution", "curve_relevance", "curve_relevance_std")

    def __repr__(self) -> str:
        return (
            f"RelevanceNull(resolution={self.resolution:.4f} ± {self.resolution_std:.4f}, "
            f"relevance={self.relevance:.4f} ± {self.relevance_std:.4f}, kind={self.kind!r}, "
            f"num_draws={self.num_draws})"
        )

    def at(self, resolution: ArrayLike) -> tuple[np.float64 | np.ndarray, np.float64 | np.ndarray]:
        """Mean and standard deviation of the surrogates' relevance at a resolution.

        Interpolates between the numbers of units, from (0, 0): the relevance of independent units
        at equal resolution. NaN above the resolution of all units.
        """
        resolution = check_numbers("resolution", resolution, None, 0)
        x = np.concatenate([[0.0], self.curve_resolution])
        mean = np.concatenate([[0.0], self.curve_relevance])
        std = np.concatenate([[0.0], self.curve_relevance_std])
        order = np.argsort(x)
        mean, std = (
            np.interp(resolution, x[order], y[order], right=np.nan)[()] for y in (mean, std)
        )
        return mean, std


def relevance_null(
    states: ArrayLike,
    *,
    kind: Literal["shuffled", "independent"] = "shuffled",
    num_draws: int = 10,
    num_levels: int | None = None,
    seed: int | None = None,
) -> RelevanceNull:
    """Resolution and relevance of surrogates whose units are independent.

    "shuffled" permutes every unit over the samples (marginals are kept exactly); "independent"
    draws every unit anew from its marginal. Surrogates with a random subset of the units give the
    null at lower resolutions (`at`), so that a layer is compared at equal `H[s]`.

    Monte Carlo: the mean has standard error `std / sqrt(num_draws)`. Cost: for each draw one
    permutation of the states and about 20 sorts of `M` keys; memory of one copy of the states.

    Args:
        states: Bool or integer array `[num_samples, units]`, at least 2 units.
        kind: "shuffled" or "independent".
        num_draws: Number of surrogate samples, at least 2.
        num_levels: Number of levels of each unit; by default the largest value plus one.
        seed: Seed of the surrogates.

    Raises:
        TypeError: The states are neither bool nor integer.
        ValueError: The shape, the kind or the number of draws is wrong.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        states = np.random.default_rng(0).random((500, 8)) < 0.3  # [examples, units], independent
        point = kib.estimators.resolution_relevance(states)
        null = kib.estimators.relevance_null(states, seed=0)
        print(abs(point.relevance - null.relevance) < 5 * null.relevance_std)
        ```

        ```text
        True
        ```
    """
    words = "integers or booleans, not their counts, which do not distinguish the units"
    states = check_integers("states", states, "[num_samples, units]", booleans=True, words=words)
    if states.shape[1] < 2:
        raise ValueError(
            "`states` must be of at least 2 units: a single unit has no independent surrogate. "
            f"Received: states={described(states)}"
        )
    check_choice("kind", kind, ("shuffled", "independent"))
    check_count("num_draws", num_draws, 2)
    seed = seed_or_fresh("seed", seed)
    resolution_relevance(states, num_levels=num_levels)  # checks the values before any draw
    rng = np.random.default_rng(seed)
    num_units = states.shape[1]
    units = np.unique(np.geomspace(1, num_units, 20).round().astype(int))
    points = np.empty((num_draws, len(units), 2))
    for draw in range(num_draws):
        surrogate = _surrogate(states[:, rng.permutation(num_units)], kind, rng)
        for row, count in enumerate(units):
            point = resolution_relevance(surrogate[:, :count], num_levels=num_levels)
            points[draw, row] = point.resolution, point.relevance
    mean, std = points.mean(axis=0), points.std(axis=0, ddof=1)
    return RelevanceNull(
        resolution=float(mean[-1, 0]),
        resolution_std=float(std[-1, 0]),
        relevance=float(mean[-1, 1]),
        relevance_std=float(std[-1, 1]),
        curve_units=units,
        curve_resolution=mean[:, 0],
        curve_relevance=mean[:, 1],
        curve_relevance_std=std[:, 1],
        kind=kind,
        num_draws=num_draws,
        seed=seed,
    )


def _surrogate(states: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """States with independent units, each with its own values."""
    if kind == "shuffled":
        return rng.permuted(states, axis=0)
    rows = rng.integers(len(states), size=states.shape)
    return np.take_along_axis(states, rows, axis=0)
