"""The dimension of the manifold that points lie on, from the two nearest neighbours of each."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from keras_infobottleneck.arguments import check_number, described, seed_or_fresh
from keras_infobottleneck.estimators.geometry.states import varied_states
from keras_infobottleneck.results.result import Result

__all__ = ["IntrinsicDimension", "intrinsic_dimension"]

# Largest share of points with several nearest neighbours, whose ratio is 1 and uninformative.
MOST_TIED = 0.5

# Number of points whose distances to all others are in memory at once.
BLOCK = 1024


@dataclasses.dataclass(frozen=True)
class IntrinsicDimension(Result):
    """Dimension of the manifold on which points lie, with its error and its null.

    Attributes:
        dimension: The estimate.
        standard_error: Standard error for independent points; it is somewhat too small, because
            about half of the points are mutual nearest neighbours.
        shuffled: The same estimate with every unit permuted over the examples separately: the value
            for independent units with these distributions.
        num_examples: Number of points used: those that are not copies of another.
        num_copies: Number of points left out because they are copies of another.
        seed: Seed of the permutations.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        plane = np.random.default_rng(0).normal(size=(500, 2)) @ np.ones((2, 2, 5))[0]
        found = kib.estimators.intrinsic_dimension(plane, seed=0)
        print(round(found.dimension), found.num_copies)  # both rows are one direction
        ```

        ```text
        1 0
        ```
    """

    dimension: float
    standard_error: float
    shuffled: float
    num_examples: int
    num_copies: int
    seed: int | None = None


def intrinsic_dimension(
    z: ArrayLike, *, discard_share: float = 0.1, seed: int | None = None
) -> IntrinsicDimension:
    """Estimate the dimension of the manifold of points, by the ratio of two nearest distances.

    For points of locally constant density on a manifold of dimension ``d``, the ratio ``mu`` of the
    distances to the second and to the first neighbour satisfies ``P(mu > t) = t^-d``, for any
    density. So ``log mu`` is exponential with rate ``d``. The largest ratios, which depend on
    curvature and edges, are censored: ``d = (m - 1) / (sum of the m least log mu + the others at
    the largest of them)``, unbiased for ``d`` with relative error ``1 / sqrt(m - 2)``.

    The answer is for the scale of the nearest neighbours: noise of that size counts as dimensions.
    With few points in many dimensions it is too low (about 15 for 1,000 points in 20 dimensions).

    Cost: the distances of all pairs, ``num_examples^2 * units``, twice.

    Args:
        z: Points, ``[num_examples, ...]``, flattened.
        discard_share: Share of the largest ratios that is censored.
        seed: Seed of the shuffled null.

    Raises:
        TypeError, ValueError: The array is not valid, there are fewer than 10 distinct points, an
            option is out of range, or most points have several nearest neighbours, as for units
            that are on or off.

    References:
        Facco, d'Errico, Rodriguez & Laio (2017), "Estimating the intrinsic dimension of datasets by
        a minimal neighborhood information", equation 5; here by maximum likelihood.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        random = np.random.default_rng(0)
        hidden = random.normal(size=(1000, 3)) @ random.normal(size=(3, 50))
        found = kib.estimators.intrinsic_dimension(hidden, seed=0)
        print(abs(found.dimension - 3) < 4 * found.standard_error)
        ```

        ```text
        True
        ```
    """
    flat = varied_states("z", z, "[num_examples, ...]", 1)
    check_number("discard_share", discard_share, 0.0, 1.0, open_above=True)
    seed = seed_or_fresh("seed", seed)
    points = np.unique(flat, axis=0)
    if len(points) < 10:
        expected = "`z` must hold at least 10 distinct points"
        raise ValueError(f"{expected}. Received: z={described(z)} with {len(points)}")
    rng = np.random.default_rng(seed)
    log_ratios = _log_ratios(points)
    tied = float(np.mean(log_ratios == 0.0))
    if tied > MOST_TIED:
        raise ValueError(
            "Most points of `z` must have a single nearest neighbour; whole numbers and units that "
            f"are on or off often have several. Received: z={described(z)}, of which {tied:.0%} "
            "have several at the same distance"
        )
    dimension, error = _dimension(log_ratios, discard_share)
    shuffled = np.unique(rng.permuted(points, axis=0), axis=0)
    return IntrinsicDimension(
        dimension=dimension,
        standard_error=error,
        shuffled=_dimension(_log_ratios(shuffled), discard_share)[0],
        num_examples=len(points),
        num_copies=len(flat) - len(points),
        seed=seed,
    )


def _dimension(log_ratios: np.ndarray, discard_share: float) -> tuple[float, float]:
    """The estimated dimension and its standard deviation."""
    log_ratios = np.sort(log_ratios)
    kept = max(3, round(len(log_ratios) * (1.0 - discard_share)))
    total = log_ratios[:kept].sum() + (len(log_ratios) - kept) * log_ratios[kept - 1]
    if total <= 0.0:  # a lattice: first and second neighbours have the same distance
        return float("inf"), float("nan")
    dimension = (kept - 1) / total
    return float(dimension), float(dimension / np.sqrt(kept - 2))


def _log_ratios(points: np.ndarray) -> np.ndarray:
    """Logarithm of the ratio of the second to the first distance, for each point."""
    ratios = []
    for start in range(0, len(points), BLOCK):
        distances = cdist(points[start : start + BLOCK], points)
        rows = np.arange(len(distances))
        distances[rows, start + rows] = np.inf
        first, second = np.partition(distances, 1, axis=1)[:, :2].T
        ratios.append(np.log(second) - np.log(first))
    return np.concatenate(ratios)
