"""Products of single scores under powers of F, made on the device from the factors of the scores.

`g^T (F + shift I)^p h` of two scores of one example needs no row of numbers for every weight: where
F is diagonal in coordinates that a layer's inputs and output gradients are turned to, its powers
stand between the products of both.
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

# What `Scores.columns` gives.
Columns = list[list[Any]]


@dataclass(frozen=True)
class ScoreProducts:
    """How one structure makes products of the scores of a batch.

    Attributes:
        key: everything but shapes that `of_scores` depends on.
        operands: nest of arrays that `of_scores` gets as tensors, see `in_tensors`.
        of_scores: from the scores, their columns and the operands to the products of every two
            columns of an example, `[batch, exponents, columns, columns]`, in their units.
        units: what the products are multiplied by, `[exponents]`.
    """

    key: Hashable
    operands: Any
    of_scores: Callable[[Scores, Columns, Any], tf.Tensor]
    units: np.ndarray

    def in_tensors(self, dtype: tf.DType | str) -> ScoreProducts:
        """The same with its operands as tensors of a type, for any number of calls."""
        operands = tf.nest.map_structure(
            lambda a: None if a is None else tf.constant(a, dtype), self.operands
        )
        return dataclasses.replace(self, operands=operands)


def relative_powers(
    values: Sequence[np.ndarray], shift: float, exponents: Sequence[float]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Powers of shifted eigenvalues, `[exponents, ...]`, over the largest of each, and these.

    The powers are at most one, so that float32 holds them all.
    """
    rising = exponents[0] > 0
    extremes = [float(each.max() if rising else each.min()) for each in values if each.size]
    unit = (max(extremes) if rising else min(extremes)) + shift or 1.0

    def power(each: np.ndarray, exponent: float) -> np.ndarray:
        return (((each.astype(np.float64) + shift) / unit) ** exponent).astype(each.dtype)

    powers = [np.stack([power(each, p) for p in exponents]) for each in values]
    return powers, np.array([unit**p for p in exponents])
