"""The diagonal of the Fisher matrix: one number per weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_price, check_probes
from keras_infobottleneck.estimators.fisher.information import (
    FisherInformation,
    register_structure,
)
from keras_infobottleneck.estimators.fisher.measurement import Measurement
from keras_infobottleneck.estimators.fisher.rules.bilinear import BilinearGradient
from keras_infobottleneck.estimators.fisher.rules.gradients import VariableGradient
from keras_infobottleneck.estimators.fisher.rules.kernel import keep_inputs
from keras_infobottleneck.estimators.fisher.score_products import (
    Columns,
    ScoreProducts,
    relative_powers,
)
from keras_infobottleneck.estimators.fisher.scores import Scores
from keras_infobottleneck.introspection.compiled_passes import sum_over
from keras_infobottleneck.linear_algebra.spectrum import ExactSpectrum, SpectrumPart
from keras_infobottleneck.results.archives import Archive
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["DiagonalFisher", "square_sums"]


@dataclass(frozen=True, repr=False)
class DiagonalFisher(FisherInformation):
    """The diagonal of F, exact; all other entries are treated as zero.

    Attributes:
        values: One array per variable.
    """

    values: tuple[np.ndarray, ...]

    structure = "diagonal"
    cheaper_than = ("dense", "gram", "kronecker")
    splits_batches = True

    @classmethod
    def bytes_needed(cls, measurement: Measurement) -> tuple[int, int]:
        """One number per weight, copies for the sums, and a block of gradients."""
        sums = measurement.sum_copies * measurement.vector_bytes
        return measurement.vector_bytes, sums + measurement.score_bytes

    @classmethod
    def measured(cls, measurement: Measurement) -> DiagonalFisher:
        """Sums the squares of the scores over all examples."""

        def of_scores(scores: Scores) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
            squares, norms = square_sums(scores)
            return squares, tf.reduce_sum(norms), tf.reduce_sum(norms**2)

        squares, norm, norm_squared = measurement.summed("diagonal", of_scores)
        values = tuple(measurement.mean(s) for s in squares)
        error = measurement.error(norm, norm_squared)
        return cls(values=values, standard_error=error, **measurement.fields())

    def diagonal(self) -> list[np.ndarray]:
        """The values themselves."""
        return list(self.values)

    def matvec(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Elementwise product."""
        self.layout.join(tensors)
        return [v * np.asarray(t) for v, t in zip(self.values, tensors, strict=True)]

    def logdet(self, shift: float) -> Estimate:
        """Sum of logarithms; -inf if an entry and the shift are both zero."""
        shift = check_price("shift", shift)
        with np.errstate(divide="ignore"):
            return Estimate(sum(float(np.sum(np.log(np.float64(shift) + v))) for v in self.values))

    def eigenvalues(self, count: int | None = None) -> np.ndarray:
        """The largest entries."""
        count = self._num_eigenvalues(count)
        return np.sort(np.concatenate([v.reshape(-1) for v in self.values]))[::-1][:count]

    def spectrum(self, *, num_probes: int = 8, num_steps: int = 20, seed: int = 0) -> ExactSpectrum:
        """The entries, with those of each variable separate."""
        check_probes(num_probes, num_steps, seed)
        parts = [SpectrumPart(v.reshape(-1), {i: 1.0}) for i, v in enumerate(self.values)]
        return ExactSpectrum(len(parts), parts)

    def power_product(self, rows: np.ndarray, exponent: float, shift: float = 0.0) -> np.ndarray:
        """Elementwise product."""
        rows, exponent, shift = self._checked_power(rows, exponent, shift)
        flat = self.layout.join(self.values).astype(np.float64)
        return rows * (flat + shift) ** exponent

    def score_products(
        self, shift: float, exponents: Sequence[float], numbers: Sequence[int] | None = None
    ) -> ScoreProducts:
        """Products of the scores, weighted entry by entry."""
        chosen = range(len(self.values)) if numbers is None else numbers
        powers, units = relative_powers([self.values[i] for i in chosen], shift, exponents)

        def of_scores(scores: Scores, columns: Columns, powers: list[tf.Tensor]) -> tf.Tensor:
            triples = zip(scores.forms, columns, powers, strict=True)
            return tf.add_n([form.inner_products(own, power) for form, own, power in triples])

        return ScoreProducts("diagonal", powers, of_scores, units)

    def _merged(self, other: DiagonalFisher, num_examples: int) -> DiagonalFisher:
        a, b = self.num_examples / num_examples, other.num_examples / num_examples
        values = tuple(a * v + b * w for v, w in zip(self.values, other.values, strict=True))
        error = self._merged_error(other)
        return DiagonalFisher(self.layout, self.labels, num_examples, values, standard_error=error)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {f"values_{i}": v for i, v in enumerate(self.values)}

    @classmethod
    def _from_archive(cls, fields: dict[str, Any], archive: Archive) -> DiagonalFisher:
        shapes = enumerate(fields["layout"].shapes)
        values = tuple(archive.array(f"values_{i}", shape, least=0) for i, shape in shapes)
        return cls(values=values, **fields)


def square_sums(scores: Scores) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Squared scores summed over examples and columns, and per example over weights, `[batch]`.

    For a kernel with one position per example no gradient is formed: the squares of its two factors
    are multiplied once, after the second has been summed over columns.
    """

    def is_late(form: VariableGradient) -> TypeGuard[BilinearGradient]:
        return isinstance(form, BilinearGradient) and form.positions == 1

    if scores.num_columns > 1:
        keep_inputs(scores.forms)

    def of_column(k: int | tf.Tensor) -> list[Any]:
        return [
            tf.square(form.outputs(g)[:, 0]) if is_late(form) else form.squares(g)
            for form, g in zip(scores.forms, scores.gradients(k), strict=True)
        ]

    zeros = [
        tf.zeros([form.num_rows, form.block[0], form.block[2]], form.dtype)
        if is_late(form)
        else form.no_squares()
        for form in scores.forms
    ]
    totals = sum_over(scores.num_columns, of_column, zeros)
    squares, norms = [], []
    for form, total in zip(scores.forms, totals, strict=True):
        square, norm = form.squares_of_one_position(total) if is_late(form) else total
        squares.append(square)
        norms.append(tf.cast(norm, tf.float64))
    return squares, tf.add_n(norms)


register_structure(DiagonalFisher)
