"""The relevance that independent units with the same marginals would show by chance."""

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
    check_seed,
    described,
)
from keras_infobottleneck.estimators.relevance.resolution_relevance import resolution_relevance
from keras_infobottleneck.results.result import Result

__all__ = ["RelevanceNull", "relevance_null"]


@dataclasses.dataclass(frozen=True)
class RelevanceNull(Result):
    """Resolution and relevance of surrogate samples: means and spreads, in units of `log M`.

    Attributes:
        resolution, resolution_std: of the surrogates with all units.
        relevance, relevance_std: of the surrogates with all units.
        curve_units: numbers of units of the nested surrogates.
        curve_resolution, curve_relevance, curve_relevance_std: with that many units.
        kind: "shuffled" or "independent".
        num_draws: number of surrogate samples.

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

    _points = ("curve_units", "curve_resolution", "curve_relevance", "curve_relevance_std")

    def __repr__(self) -> str:
        return (
            f"RelevanceNull(resolution={self.resolution:.4f} ± {self.resolution_std:.4f}, "
            f"relevance={self.relevance:.4f} ± {self.relevance_std:.4f}, kind={self.kind!r}, "
            f"num_draws={self.num_draws})"
        )

    def at(self, resolution: ArrayLike) -> tuple[np.float64 | np.ndarray, np.float64 | np.ndarray]:
        """Mean relevance and standard deviation of the null at a resolution.

        Interpolates along the numbers of units, from (0, 0): what independent units would show
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

    "shuffled" permutes every unit over the samples (marginals kept exactly); "independent" draws
    every unit anew from its marginal. Surrogates of a random subset of the units give the null at
    lower resolutions (`at`), so that a layer is compared at equal `H[s]`.

    Monte Carlo: the mean has standard error `std / sqrt(num_draws)`. Cost: per draw one permutation
    of the states and about 20 sorts of `M` keys; memory of one copy of the states.

    Args:
        states: bool or integer `[num_samples, units]`, at least 2 units.
        num_draws: surrogate samples, at least 2.
        num_levels: levels of each unit; by default the largest value plus one.

    Raises:
        TypeError: for states that are neither bool nor integer.
        ValueError: for a wrong shape, kind or number of draws.

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
    states = check_integers("states", states, "[num_samples, units]", booleans=True)
    if states.shape[1] < 2:
        raise ValueError(
            "`states` must be of at least 2 units: a single unit has no independent surrogate. "
            f"Received: states={described(states)}"
        )
    check_choice("kind", kind, ("shuffled", "independent"))
    check_count("num_draws", num_draws, 2)
    check_seed("seed", seed)
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
    )


def _surrogate(states: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """States whose units are independent, each with the values that it had."""
    if kind == "shuffled":
        return rng.permuted(states, axis=0)
    rows = rng.integers(len(states), size=states.shape)
    return np.take_along_axis(states, rows, axis=0)
