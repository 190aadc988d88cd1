"""The scores themselves as rows: exact, and small if there are fewer rows than weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_price, check_probes
from keras_infobottleneck.data.batches import Batch, Batches
from keras_infobottleneck.estimators.fisher.information import (
    FisherInformation,
    register_structure,
)
from keras_infobottleneck.estimators.fisher.measurement import Measurement
from keras_infobottleneck.estimators.fisher.score_rows import all_rows
from keras_infobottleneck.estimators.fisher.scores import Scores
from keras_infobottleneck.estimators.fisher.structures.dense import DenseFisher
from keras_infobottleneck.introspection.replicas import full_products
from keras_infobottleneck.linear_algebra.spectrum import ExactSpectrum, SpectrumPart
from keras_infobottleneck.results.archives import Archive
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["GramFisher", "rows_of"]


@dataclass(frozen=True, repr=False)
class GramFisher(FisherInformation):
    """`F = R^T R / N`, kept as the rows R; its spectrum is that of `R R^T / N`, exact.

    Attributes:
        rows: One score per example and column, `[rows, weights]`.
    """

    rows: np.ndarray

    structure = "gram"
    cheaper_than = ("dense",)

    @classmethod
    def bytes_needed(cls, measurement: Measurement) -> tuple[int, int]:
        """A score for each example and column, a copy to join them, and those of a batch."""
        scores = measurement.num_columns * measurement.vector_bytes
        result = measurement.batches.count() * scores
        return result, result + 2 * measurement.batches.size * scores

    @classmethod
    def measured(cls, measurement: Measurement) -> GramFisher:
        """Concatenates the scores of all batches."""
        variables, source = measurement.variables, measurement.source

        def make(model_of: Callable[[], keras.Model]) -> Callable[..., tf.Tensor]:
            def step(batch: Batch, key: tf.Tensor) -> tf.Tensor:
                return all_rows(Scores(model_of(), variables, source, batch, key))

            return tf.function(step, autograph=False)

        step = measurement.kept("gram", make)
        rows = rows_of(step, measurement.batches, measurement.key, measurement.verbose)
        norms = np.einsum("nkw,nkw->n", rows, rows, dtype=np.float64)
        if not np.all(np.isfinite(norms)):
            measurement.mean(tf.constant(norms))  # raises
        error = measurement.error(norms.sum(), (norms**2).sum())
        rows = rows.reshape(-1, measurement.layout.size)
        return cls(rows=rows, standard_error=error, **measurement.fields())

    def diagonal(self) -> list[np.ndarray]:
        """Mean square of each column of R."""
        return self.layout.split(np.einsum("rw,rw->w", self.rows, self.rows) / self.num_examples)

    def matvec(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The product with F, by two products with R."""
        product = self.rows.T @ (self.rows @ self.layout.join(tensors))
        return self.layout.split(product / self.num_examples)

    def logdet(self, shift: float) -> Estimate:
        """Log-determinant from the dual's eigenvalues; other directions have the shift alone."""
        with np.errstate(divide="ignore"):
            logs = np.log(self._spectrum + check_price("shift", shift))
            rest = self.size - len(self._spectrum)
            others = rest * np.log(np.float64(shift)) if rest else 0.0
        return Estimate(float(logs.sum() + others))

    def eigenvalues(self, count: int | None = None) -> np.ndarray:
        """Eigenvalues of the dual, descending, then zeros."""
        count = self._num_eigenvalues(count)
        return np.pad(self._spectrum, (0, self.size - len(self._spectrum)))[:count]

    @functools.cached_property
    def _spectrum(self) -> np.ndarray:
        """At most `size` eigenvalues, in descending order."""
        rows = self.rows.astype(np.float64)
        gram = rows @ rows.T if len(rows) < self.size else rows.T @ rows
        # There are no negative eigenvalues; negative ones are rounding errors of zeros.
        return np.maximum(np.linalg.eigvalsh(gram / self.num_examples)[::-1], 0.0)

    def spectrum(self, *, num_probes: int = 8, num_steps: int = 20, seed: int = 0) -> ExactSpectrum:
        """Eigenvalues of the dual, without the zeros."""
        check_probes(num_probes, num_steps, seed)
        if self._as_dense is not None:
            return self._as_dense.spectrum()
        values, vectors = self._dual
        shares = {}
        for number, part in enumerate(np.split(self.rows, np.cumsum(self.layout.sizes)[:-1], 1)):
            part = part.astype(np.float64)
            product = (part @ part.T / self.num_examples) @ vectors
            shares[number] = np.einsum("rk,rk->k", vectors, product) / values
        return ExactSpectrum(len(shares), [SpectrumPart(values, shares)])

    def power_product(self, rows: np.ndarray, exponent: float, shift: float = 0.0) -> np.ndarray:
        """The power of the shift, corrected within the span of the scores."""
        rows, exponent, shift = self._checked_power(rows, exponent, shift)
        if self._as_dense is not None:
            return self._as_dense.power_product(rows, exponent, shift)
        values, vectors = self._dual
        correction = ((values + shift) ** exponent - shift**exponent) / values
        inner = (rows @ self.rows.T) @ vectors * correction / self.num_examples
        return rows * shift**exponent + (inner @ vectors.T) @ self.rows

    @functools.cached_property
    def _as_dense(self) -> DenseFisher | None:
        """The matrix itself, if it is not larger than its dual; else None."""
        if len(self.rows) < self.size:
            return None
        rows = self.rows.astype(np.float64)
        matrix = rows.T @ rows / self.num_examples
        return DenseFisher(self.layout, self.labels, self.num_examples, matrix)

    @functools.cached_property
    def _dual(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues of `R R^T / N` above rounding errors, and vectors `[rows, eigenvalues]`."""
        rows = self.rows.astype(np.float64)
        values, vectors = np.linalg.eigh(rows @ rows.T / self.num_examples)
        kept = values > max(values[-1], 0.0) * len(rows) * np.finfo(np.float64).eps
        return values[kept], vectors[:, kept]

    def _merged(self, other: GramFisher, num_examples: int) -> GramFisher:
        rows = np.concatenate([self.rows, other.rows])
        error = self._merged_error(other)
        return GramFisher(self.layout, self.labels, num_examples, rows, standard_error=error)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"rows": self.rows}

    @classmethod
    def _from_archive(cls, fields: dict[str, Any], archive: Archive) -> GramFisher:
        rows = archive.array("rows", (None, fields["layout"].size))
        if len(rows) < fields["num_examples"]:
            archive.refuse(f"with {len(rows)} rows of {fields['num_examples']} examples")
        return cls(rows=rows, **fields)


def rows_of(step: Any, batches: Batches, key: tf.Tensor, verbose: int) -> np.ndarray:
    """The scores of all examples, `[examples, columns, weights]`, by a compiled function."""
    parts = []
    bar = keras.utils.Progbar(batches.num_batches, verbose=verbose)
    for number, batch in enumerate(batches, start=1):
        count = int(np.sum(batch.weights))
        # TensorFlow counts traces by code, for all models together. Called directly, the function
        # would cause a warning about retracing.
        traced = step.get_concrete_function(batch, key)
        with full_products():
            rows = traced(batch, key)
        parts.append(rows.numpy()[:, :count].transpose(1, 0, 2))
        bar.update(number)
    return np.concatenate(parts)


register_structure(GramFisher)
