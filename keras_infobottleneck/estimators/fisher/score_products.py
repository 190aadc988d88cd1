"""Products of single scores under powers of F, computed on the device from factors of the scores.

`g^T (F + shift I)^p h` of two scores of one example does not need a row with a number for every
weight: if F is diagonal in a rotated basis of a layer's inputs and output gradients, its powers
multiply the products of both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.scores import Scores

__all__ = ["Columns", "ScoreProducts", "relative_powers"]

# The result of `Scores.columns`.
Columns = list[list[Any]]


@dataclass(frozen=True)
class ScoreProducts:
    """The computation by which one structure makes products of the scores of a batch.

    Attributes:
        key: Everything except shapes that `of_scores` depends on.
        operands: Nest of arrays that `of_scores` receives as tensors; see `in_tensors`.
        of_scores: Function from the scores, their columns and the operands to the products of every
            two columns of an example, `[batch, exponents, columns, columns]`, divided by `units`.
        units: Factors of the products, `[exponents]`.
    """

    key: Hashable
    operands: Any
    of_scores: Callable[[Scores, Columns, Any], tf.Tensor]
    units: np.ndarray

    def in_tensors(self, dtype: tf.DType | str) -> ScoreProducts:
        """A copy with the operands as tensors of a dtype, for any number of calls."""
        operands = tf.nest.map_structure(
            lambda a: None if a is None else tf.constant(a, dtype), self.operands
        )
        return dataclasses.replace(self, operands=operands)


def relative_powers(
    values: Sequence[np.ndarray], shift: float, exponents: Sequence[float]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Powers of shifted eigenvalues, `[exponents, ...]`, over the largest of each, and the largest.

    The relative powers are at most one, so that they do not overflow in float32.
    """
    rising = exponents[0] > 0
    extremes = [float(each.max() if rising else each.min()) for each in values if each.size]
    unit = (max(extremes) if rising else min(extremes)) + shift or 1.0

    def power(each: np.ndarray, exponent: float) -> np.ndarray:
        return (((each.astype(np.float64) + shift) / unit) ** exponent).astype(each.dtype)

    powers = [np.stack([power(each, p) for p in exponents]) for each in values]
    return powers, np.array([unit**p for p in exponents])
