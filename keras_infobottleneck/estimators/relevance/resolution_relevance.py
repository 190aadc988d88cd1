"""Resolution and relevance of a sample of states (Song, Marsili, Jo, 2018)."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_count, check_integers, described
from keras_infobottleneck.estimators.relevance.state_counts import StateCounts
from keras_infobottleneck.estimators.relevance.state_keys import check_states
from keras_infobottleneck.results.result import Result

__all__ = ["ResolutionRelevance", "resolution_relevance", "resolution_relevance_of_counts"]


@dataclasses.dataclass(frozen=True)
class ResolutionRelevance(Result):
    """Where a sample lies on the resolution-relevance plane.

    Attributes:
        resolution: `H[s] / log M`, in [0, 1].
        relevance: `H[K] / log M`, in [0, resolution].
        noise: `H[s|K] / log M = resolution - relevance`.
        resolution_nats: `H[s]`, nats.
        relevance_nats: `H[K]`, nats.
        num_samples: `M`.
        num_states: number of distinct states.

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
    states: ArrayLike, *, num_levels: int | None = None
) -> ResolutionRelevance:
    """Entropy of the states and of their frequencies, in units of `log M` and in nats.

    With `k_s` the count of state `s` and `m_k` the number of states seen `k` times:

        resolution  H[s] = - sum_s (k_s / M) log(k_s / M)
        relevance   H[K] = - sum_k (k m_k / M) log(k m_k / M)

    Exact for the sample; as estimates of the source both are biased by the finite sample, and
    count fluctuations alone create relevance: compare with `relevance_null`.
    Cost: one sort of `M` keys of 8 bytes (16 for states wider than 64 bits).

    Args:
        states: bool or integer `[num_samples, units]`, integer labels `[num_samples]`, or a
            `StateCounts`.
        num_levels: levels of each unit; by default the largest value plus one.

    Raises:
        TypeError: for states that are neither bool nor integer.
        ValueError: for a wrong shape, values outside the levels, or fewer than 2 samples.

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
        return resolution_relevance_of_counts(states.counts)
    states = check_states(states)
    if num_levels is None:
        is_levels = states.ndim == 2 and states.dtype != bool
        num_levels = max(2, int(states.max()) + 1) if is_levels else 2
    return resolution_relevance_of_counts(StateCounts(num_levels).update(states).counts)


def resolution_relevance_of_counts(counts: ArrayLike) -> ResolutionRelevance:
    """`resolution_relevance` from the counts `k_s` of the states; zeros are ignored.

    Args:
        counts: non-negative integers `[num_states]`.

    Raises:
        TypeError: for counts that are not integers.
        ValueError: for a wrong shape, negative counts, or a sum below 2.

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
    counts = check_integers("counts", counts, "[num_states]", 0)
    num_samples = int(counts.sum())
    if num_samples < 2:
        raise ValueError(
            "`counts` must be of at least 2 samples. "
            f"Received: counts={described(counts)}, in all {num_samples}"
        )
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
    """Distinct positive counts `k` and how many states `m_k` have each."""
    largest = int(counts.max())
    if largest > 16 * len(counts):  # a table over all counts would be mostly empty
        frequencies, multiplicities = np.unique(counts[counts > 0], return_counts=True)
        return frequencies, multiplicities
    table = np.bincount(counts, minlength=2)
    table[0] = 0
    frequencies = np.flatnonzero(table)
    return frequencies, table[frequencies]
