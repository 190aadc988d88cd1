"""Relevance over all scales: the area under the resolution-relevance curve of a coarse-graining."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import (
    check_choice,
    check_integers,
    check_number,
    check_numbers,
    described,
    refusal,
    seed_or_fresh,
)
from keras_infobottleneck.estimators.relevance.resolution_relevance import (
    ResolutionRelevance,
    of_checked_counts,
    resolution_relevance,
)
from keras_infobottleneck.estimators.relevance.state_keys import check_sum
from keras_infobottleneck.results.result import Result

__all__ = ["MultiscaleRelevance", "layer_multiscale_relevance", "multiscale_relevance"]


@dataclasses.dataclass(frozen=True)
class MultiscaleRelevance(Result):
    """Relevance at every scale of a coarse-graining, and the area under the curve.

    Attributes:
        area: Trapezoid area under `H[K](H[s])`, both in units of `log M`, from (0, 0) to (1, 0).
        scales: The values that were varied, in the order of the points.
        resolution, relevance: One point for each scale.
        seed: Seed of the order of the units; None if nothing was drawn.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        spikes = np.random.default_rng(0).poisson(0.2, 500)
        found = kib.estimators.multiscale_relevance(spikes)
        print(len(found.scales) == len(found.resolution), 0 < found.area < 1)
        ```

        ```text
        True True
        ```
    """

    area: float
    scales: np.ndarray
    resolution: np.ndarray
    relevance: np.ndarray
    seed: int | None = None

    _points = ("scales", "resolution", "relevance")

    def __repr__(self) -> str:
        return f"MultiscaleRelevance(area={self.area:.6f}, scales={len(self.scales)})"


def multiscale_relevance(spikes: ArrayLike) -> MultiscaleRelevance:
    """Multiscale relevance of a spike train, by the published procedure.

    The time points are split into `n` contiguous bins of nearly equal size; the number of spikes in
    a bin is the count of its state, and `M` is the number of spikes. `n` runs over the distinct
    integers of 100 logarithmically spaced values from 10^0.4 to 0.99 T, and T itself, the number of
    time points. Exact. Cost: one cumulative sum, and one difference per scale.

    Args:
        spikes: Non-negative integers or bool `[time_points]`: number of spikes at each time point.

    Raises:
        TypeError: The spikes are not integers.
        ValueError: The shape is wrong, or there are fewer than 3 time points, negative values or
            fewer than 2 spikes.

    References:
        Cubero, Marsili, Roudi (2020), arXiv 1802.10354.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        random = np.random.default_rng(0)
        steady = random.poisson(0.2, 2000)
        bursts = steady * (np.arange(2000) // 100 % 5 == 0)
        print(f"{kib.estimators.multiscale_relevance(steady).area:.2f}")
        print(f"{kib.estimators.multiscale_relevance(bursts).area:.2f}")
        ```

        ```text
        0.27
        0.29
        ```
    """
    spikes = check_integers("spikes", spikes, "[time_points]", 0, booleans=True)
    words = "be at least 2 at 3 time points or more"
    num_spikes = check_sum("spikes", spikes, 2, words)
    if len(spikes) < 3:
        raise refusal(ValueError, "spikes", words, spikes)
    num_points = len(spikes)
    largest = np.round(np.log10(0.99 * num_points), 2)
    bins = np.append(np.logspace(0.4, largest, 100).astype(int), num_points)
    scales = np.unique(np.minimum(bins, num_points))  # the rounded logarithm may exceed T
    until = np.concatenate([[0], np.cumsum(spikes, dtype=np.int64)])
    points = []
    for num_bins in scales:
        size, longer = divmod(num_points, num_bins)
        edges = np.arange(num_bins + 1) * size
        edges += np.minimum(np.arange(num_bins + 1), longer)
        points.append(of_checked_counts(np.diff(until[edges]), num_spikes))
    return _curve(scales, points)


def layer_multiscale_relevance(
    activations: ArrayLike,
    *,
    by: Literal["units", "threshold", "bits"] = "units",
    scales: Sequence[float] | np.ndarray | None = None,
    threshold: float = 0.0,
    seed: int | None = None,
) -> MultiscaleRelevance:
    """Multiscale relevance of a layer, by successively coarser states of its activations.

    - "units": the first `n` units in a random order (`seed`), binary at `threshold`; nested.
    - "bits": every unit in `2^b` levels of equal share; nested in `b`.
    - "threshold": all units, binary at each quantile of all activations. Not nested: a sweep.

    Exact for the sample; see `resolution_relevance`. Cost: one sort of `M` keys per scale.

    Args:
        activations: Real or bool array `[num_samples, units]`.
        by: Quantity to vary.
        scales: Numbers of units, bits from 1 to 8, or quantiles in [0, 1]; by default about 20
            numbers of units, 1 to 8 bits, or 19 quantiles.
        threshold: Threshold of binary states, for "units".
        seed: Seed of the order of the units, for "units".

    Raises:
        ValueError: The shape is wrong, values are not finite, or `by` or `scales` is wrong.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        activations = np.random.default_rng(0).normal(size=(200, 8))
        found = kib.estimators.layer_multiscale_relevance(activations, by="units", seed=0)
        print(0 < found.area < 1)
        ```

        ```text
        True
        ```
    """
    shape = "[num_samples, units]"
    activations = check_numbers("activations", activations, shape, booleans=True, dtype=None)
    if len(activations) < 2:
        raise ValueError(
            "`activations` must be of at least 2 samples. "
            f"Received: activations={described(activations)}"
        )
    check_choice("by", by, ("units", "threshold", "bits"))
    check_number("threshold", threshold)
    seed = seed_or_fresh("seed", seed)
    num_units = activations.shape[1]
    if by == "units":
        default = np.unique(np.geomspace(1, num_units, 20).round().astype(int))
        scales = default if scales is None else scales
        scales = check_integers("scales", scales, "[scales]", 1, num_units)
        order = np.random.default_rng(seed).permutation(num_units)
        states = activations[:, order] > threshold
        coarser = (states[:, :count] for count in scales)
    elif by == "threshold":
        scales = np.linspace(0.05, 0.95, 19) if scales is None else scales
        scales = check_numbers("scales", scales, "[scales]", 0, 1)
        coarser = (activations > value for value in _quantiles(activations, scales))
    else:
        scales = np.arange(1, 9) if scales is None else scales
        scales = check_integers("scales", scales, "[scales]", 1, 8)
        ranks = _share_below(activations)
        coarser = (np.floor(ranks * 2**bits).astype(np.uint8) for bits in scales)
    points = [resolution_relevance(states) for states in coarser]
    return _curve(scales, points, seed if by == "units" else None)


def _quantiles(activations: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Quantiles of all activations; booleans are converted, because NumPy does not accept them."""
    is_boolean = activations.dtype == bool
    return np.quantile(activations.view(np.uint8) if is_boolean else activations, scales)


def _share_below(activations: np.ndarray) -> np.ndarray:
    """Share of the samples strictly below each activation, for each unit; in [0, 1)."""
    columns = [np.searchsorted(np.sort(column), column) for column in activations.T]
    return np.stack(columns, axis=1) / len(activations)


def _curve(
    scales: ArrayLike, points: Sequence[ResolutionRelevance], seed: int | None = None
) -> MultiscaleRelevance:
    """Points of a curve and the area under it, with the ends (0, 0) and (1, 0)."""
    resolution = np.array([point.resolution for point in points])
    relevance = np.array([point.relevance for point in points])
    x, y = np.append(resolution, [0.0, 1.0]), np.append(relevance, [0.0, 0.0])
    order = np.lexsort((y, x))
    area = float(np.trapezoid(y[order], x[order]))
    return MultiscaleRelevance(area, np.asarray(scales), resolution, relevance, seed)
