"""The dense Fisher matrix: its sums, its memory and its methods."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_price, check_probes
from keras_infobottleneck.estimators.fisher.information import (
    FisherInformation,
    register_structure,
)
from keras_infobottleneck.estimators.fisher.measurement import Measurement
from keras_infobottleneck.estimators.fisher.score_rows import score_rows
from keras_infobottleneck.estimators.fisher.scores import Scores
from keras_infobottleneck.introspection.compiled_passes import sum_over
from keras_infobottleneck.linear_algebra.spectrum import ExactSpectrum, SpectrumPart
from keras_infobottleneck.results.archives import Archive
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["DenseFisher", "outer_sums"]


@dataclass(frozen=True, repr=False)
class DenseFisher(FisherInformation):
    """The whole matrix F, exact.

    Attributes:
        matrix: `[weights, weights]`.
    """

    matrix: np.ndarray

    structure = "dense"
    cheaper_than = ("gram",)

    @classmethod
    def bytes_needed(cls, measurement: Measurement) -> tuple[int, int]:
        """The matrix, copies for its sums, and the scores of a batch."""
        matrix = measurement.layout.size * measurement.vector_bytes
        scores = 2 * measurement.batches.size * measurement.vector_bytes
        return matrix, measurement.sum_copies * matrix + scores

    @classmethod
    def measured(cls, measurement: Measurement) -> DenseFisher:
        """Sums the outer products of the scores over all examples."""

        def of_scores(scores: Scores) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            products, norms = outer_sums(scores)
            norms = tf.cast(norms, tf.float64)
            return products, tf.reduce_sum(norms), tf.reduce_sum(norms**2)

        products, norm, norm_squared = measurement.summed("dense", of_scores)
        matrix, error = measurement.mean(products), measurement.error(norm, norm_squared)
        return cls(matrix=matrix, standard_error=error, **measurement.fields())

    def diagonal(self) -> list[np.ndarray]:
        """The diagonal of the matrix."""
        return self.layout.split(np.diagonal(self.matrix).copy())

    def matvec(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The product of matrix and vector."""
        return self.layout.split(self.matrix @ self.layout.join(tensors))

    def logdet(self, shift: float) -> Estimate:
        """Log-determinant, from the eigenvalues; -inf if the shifted matrix is singular."""
        with np.errstate(divide="ignore"):
            return Estimate(float(np.sum(np.log(self._spectrum + check_price("shift", shift)))))

    def eigenvalues(self, count: int | None = None) -> np.ndarray:
        """Largest eigenvalues, by a symmetric eigensolver in float64."""
        return self._spectrum[: self._num_eigenvalues(count)]

    @functools.cached_property
    def _spectrum(self) -> np.ndarray:
        # F has no negative eigenvalues; negative ones are rounding errors of zeros.
        values = np.linalg.eigvalsh(self.matrix.astype(np.float64))[::-1]
        return np.maximum(values, 0.0)

    def spectrum(self, *, num_probes: int = 8, num_steps: int = 20, seed: int = 0) -> ExactSpectrum:
        """The spectrum from the eigenvectors, in float64."""
        check_probes(num_probes, num_steps, seed)
        values, vectors = self._eigenvectors
        ends = np.cumsum((0, *self.layout.sizes))
        shares = {
            i: np.einsum("wk,wk->k", vectors[start:end], vectors[start:end])
            for i, (start, end) in enumerate(itertools.pairwise(ends))
        }
        return ExactSpectrum(len(shares), [SpectrumPart(values, shares)])

    def power_product(self, rows: np.ndarray, exponent: float, shift: float = 0.0) -> np.ndarray:
        """The product from the eigenvectors, in float64."""
        rows, exponent, shift = self._checked_power(rows, exponent, shift)
        values, vectors = self._eigenvectors
        return (rows @ vectors * (values + shift) ** exponent) @ vectors.T

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
    def _from_archive(cls, fields: dict[str, Any], archive: Archive) -> DenseFisher:
        size = fields["layout"].size
        return cls(matrix=archive.second_moments("matrix", (size, size)), **fields)


def outer_sums(scores: Scores) -> tuple[tf.Tensor, tf.Tensor]:
    """Outer products of the scores summed over examples and columns; squared norms `[batch]`."""

    def of_column(k: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = score_rows(scores, k)
        return tf.matmul(rows, rows, transpose_a=True), tf.reduce_sum(rows**2, 1)

    size = sum(math.prod(form.variable.shape) for form in scores.forms)
    dtype = scores.forms[0].dtype
    zeros = tf.zeros([size, size], dtype), tf.zeros([scores.num_rows], dtype)
    return sum_over(scores.num_columns, of_column, zeros)


register_structure(DenseFisher)
