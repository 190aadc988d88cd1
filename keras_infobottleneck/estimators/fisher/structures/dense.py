"""The whole matrix."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.information import (
    FisherInformation,
    check_count,
    check_shift,
)
from keras_infobottleneck.estimators.fisher.scores import Scores
from keras_infobottleneck.introspection.compiled_passes import sum_over
from keras_infobottleneck.linear_algebra.spectrum import ExactSpectrum, SpectrumPart
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["DenseFisher", "outer_sums", "score_rows"]


@dataclass(frozen=True, repr=False)
class DenseFisher(FisherInformation):
    """F itself, exact.

    Attributes:
        matrix: `[weights, weights]`.
    """

    matrix: np.ndarray

    structure = "dense"

    def diagonal(self) -> list[np.ndarray]:
        """The matrix' diagonal."""
        return self.layout.split(np.diagonal(self.matrix).copy())

    def matvec(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Matrix times vector."""
        return self.layout.split(self.matrix @ self.layout.join(tensors))

    def logdet(self, shift: float) -> Estimate:
        """From the eigenvalues; -inf where the shifted matrix is singular."""
        with np.errstate(divide="ignore"):
            return Estimate(float(np.sum(np.log(self._spectrum + check_shift(shift)))))

    def eigenvalues(self, count: int | None = None) -> np.ndarray:
        """By a symmetric eigensolver in float64."""
        return self._spectrum[: check_count(count, self.size)]

    @functools.cached_property
    def _spectrum(self) -> np.ndarray:
        # F has no negative eigenvalue; those of rounding are set to the zero that they stand for.
        values = np.linalg.eigvalsh(self.matrix.astype(np.float64))[::-1]
        return np.maximum(values, 0.0)

    def spectrum(self, **_: int) -> ExactSpectrum:
        """From the eigenvectors, in float64."""
        values, vectors = self._eigenvectors
        ends = np.cumsum((0, *self.layout.sizes))
        shares = {
            i: np.einsum("wk,wk->k", vectors[start:end], vectors[start:end])
            for i, (start, end) in enumerate(itertools.pairwise(ends))
        }
        return ExactSpectrum(len(shares), [SpectrumPart(values, shares)])

    def power_product(self, rows: np.ndarray, exponent: float, shift: float = 0.0) -> np.ndarray:
        """From the eigenvectors, in float64."""
        values, vectors = self._eigenvectors
        return (rows @ vectors * (values + check_shift(shift)) ** exponent) @ vectors.T

    @functools.cached_property
    def _eigenvectors(self) -> tuple[np.ndarray, np.ndarray]:
        values, vectors = np.linalg.eigh(self.matrix.astype(np.float64))
        return np.maximum(values, 0.0), vectors

    def _merged(self, other: DenseFisher, num_examples: int) -> DenseFisher:
        a, b = self.num_examples / num_examples, other.num_examples / num_examples
        matrix = a * self.matrix + b * other.matrix
        error = self._merged_error(other)
        return DenseFisher(self.layout, self.labels, num_examples, matrix, standard_error=error)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"matrix": self.matrix}

    @classmethod
    def _from_archive(cls, fields, archive):
        size = fields["layout"].size
        return cls(matrix=archive.second_moments("matrix", (size, size)), **fields)


def score_rows(scores: Scores, k) -> tf.Tensor:
    """Scores of column k, `[batch, weights]`."""
    rows = [
        tf.reshape(form.rows(g, 0, scores.num_rows), [scores.num_rows, -1])
        for form, g in zip(scores.forms, scores.gradients(k), strict=True)
    ]
    return tf.concat(rows, 1)


def outer_sums(scores: Scores) -> tuple[tf.Tensor, tf.Tensor]:
    """Outer products of the scores summed over examples and columns; squared norms `[batch]`."""

    def of_column(k):
        rows = score_rows(scores, k)
        return tf.matmul(rows, rows, transpose_a=True), tf.reduce_sum(rows**2, 1)

    size = sum(math.prod(form.variable.shape) for form in scores.forms)
    dtype = scores.forms[0].dtype
    zeros = tf.zeros([size, size], dtype), tf.zeros([scores.num_rows], dtype)
    return sum_over(scores.num_columns, of_column, zeros)
