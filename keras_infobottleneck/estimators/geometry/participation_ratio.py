"""The number of directions that share the variance of hidden states."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.estimators.geometry.centred_products import unbiased_products
from keras_infobottleneck.estimators.geometry.states import varied_states
from keras_infobottleneck.results.result import Result

__all__ = ["ParticipationRatio", "participation_ratio"]


@dataclasses.dataclass(frozen=True)
class ParticipationRatio(Result):
    """Number of directions that share the variance, between 1 and the number of units.

    Attributes:
        corrected: Ratio of two unbiased estimates; consistent, and nearly independent of the number
            of examples.
        standard_error: Standard error of `corrected`, by leaving out tenths of the examples.
        biased: From the covariance of the examples: at most the number of examples minus one, and
            too low unless that is much larger than the number of units.
        num_examples: Number of examples.
        num_units: Number of units.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        z = np.random.default_rng(0).normal(size=(100, 200))  # the truth is 200
        found = kib.estimators.participation_ratio(z)
        print(found.biased < 70, abs(found.corrected - 200) < 4 * found.standard_error)
        ```

        ```text
        True True
        ```
    """

    corrected: float
    standard_error: float
    biased: float
    num_examples: int
    num_units: int


def participation_ratio(z: ArrayLike) -> ParticipationRatio:
    """Compute ``(tr C)^2 / tr C^2`` of the covariance ``C`` of units, and its corrected form.

    ``d`` independent units of equal variance give ``d``; a single direction gives 1. With N
    examples the plain form is about ``1 / (1/d + 1/N)``: it grows with the sample. The corrected
    form divides unbiased estimates of ``(tr C)^2`` and ``tr C^2``, which are sums over different
    examples. It counts linear directions: a curved line of dimension 1 has a ratio above 1.

    Cost: tables of all pairs of examples, ``num_examples^2 * units``.

    Args:
        z: States, ``[num_examples, ...]``, flattened; at least 40 examples.

    Raises:
        TypeError, ValueError: The array is not valid, there are too few examples, or all states are
            equal.

    References:
        Gao et al. (2017), bioRxiv 214262, for the ratio; Song et al. (2012), JMLR 13, for the
        unbiased sums.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        random = np.random.default_rng(0)
        hidden = random.normal(size=(1000, 4)) @ np.linalg.qr(random.normal(size=(64, 4)))[0].T
        print(f"{kib.estimators.participation_ratio(hidden).corrected:.1f}")
        ```

        ```text
        4.0
        ```
    """
    flat = varied_states("z", z, "[num_examples, ...]", 40)
    tenths = np.arange(len(flat)) % 10
    without = [_corrected(flat[tenths != tenth]) for tenth in range(10)]
    return ParticipationRatio(
        corrected=_corrected(flat),
        standard_error=float(3.0 * np.std(without)),  # the jackknife over tenths
        biased=_biased(flat),
        num_examples=len(flat),
        num_units=flat.shape[1],
    )


def _biased(units: np.ndarray) -> float:
    variances = np.linalg.svd(units - units.mean(0), compute_uv=False) ** 2
    return float(variances.sum() ** 2 / np.sum(variances**2))


def _corrected(units: np.ndarray) -> float:
    squared = unbiased_products(units, units)
    return float(_squared_trace(units) / squared) if squared > 0.0 else float("nan")


def _squared_trace(units: np.ndarray) -> float:
    """Unbiased estimate of ``(tr C)^2``: products of half squared distances of disjoint pairs."""
    units = units - units.mean(0)
    number, lengths = len(units), np.sum(units**2, axis=1)
    half = 0.5 * (lengths[:, None] + lengths) - units @ units.T
    np.fill_diagonal(half, 0.0)
    # All pairs of pairs, except those that share one example or both.
    apart = half.sum() ** 2 - 4.0 * np.sum(half.sum(1) ** 2) + 2.0 * np.vdot(half, half)
    return float(apart / (number * (number - 1) * (number - 2) * (number - 3)))
