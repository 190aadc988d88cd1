"""F as an operator: nothing is stored, and each product is one pass over the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal, NoReturn

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_choice, check_probes
from keras_infobottleneck.data.batches import Batch
from keras_infobottleneck.estimators.fisher.cost import check_passes
from keras_infobottleneck.estimators.fisher.information import (
    FisherInformation,
    register_structure,
)
from keras_infobottleneck.estimators.fisher.measurement import COTANGENT_COPIES, Measurement
from keras_infobottleneck.estimators.fisher.rules.gradients import by_example
from keras_infobottleneck.estimators.fisher.scores import ColumnSource
from keras_infobottleneck.estimators.fisher.step import Step
from keras_infobottleneck.estimators.fisher.structures.diagonal import DiagonalFisher
from keras_infobottleneck.estimators.fisher.terms import Term
from keras_infobottleneck.introspection.compiled_passes import CompiledSum, sum_over
from keras_infobottleneck.introspection.replicas import measuring_strategy
from keras_infobottleneck.linear_algebra.krylov import WORKING_VECTORS
from keras_infobottleneck.linear_algebra.operator import DEFAULT_VECTORS, TRACE_METHODS, Operator
from keras_infobottleneck.linear_algebra.spectrum import QuadratureSpectrum
from keras_infobottleneck.results.archives import Archive
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["ImplicitFisher", "product_sum"]


@dataclass(frozen=True, repr=False)
class ImplicitFisher(FisherInformation):
    """F by its products, which are exact; log-determinant and spectrum are estimated from them.

    Attributes:
        operator: Products with vectors.
        make_diagonal: Runs the pass that computes the exact diagonal.
    """

    operator: Operator
    make_diagonal: Callable[[], DiagonalFisher]

    structure = "implicit"
    cheaper_than = ("dense", "gram", "kronecker", "diagonal")

    @classmethod
    def bytes_needed(cls, measurement: Measurement) -> tuple[int, int]:
        """No bytes for the result; a few vectors and the label's parameters for a product."""
        cotangents = measurement.batches.size * measurement.parameter_bytes
        return 0, WORKING_VECTORS * measurement.vector_bytes + COTANGENT_COPIES * cotangents

    @classmethod
    def kept_bytes(cls, measurement: Measurement) -> int:
        """The vectors that Lanczos' method or XTrace use by default."""
        return DEFAULT_VECTORS * measurement.vector_bytes

    @classmethod
    def passes_needed(cls, measurement: Measurement) -> int:
        """One for each product: expected labels have a closed form, and drawn ones are summed."""
        return 1

    @classmethod
    def measured(cls, measurement: Measurement) -> ImplicitFisher:
        """Makes the operator without a pass over the data; each product is one."""
        variables, source, batches = (
            measurement.variables,
            measurement.source,
            measurement.batches,
        )

        def make(model_of: Callable[[], keras.Model]) -> CompiledSum:
            return CompiledSum(
                lambda batch, key, tangents: product_sum(
                    model_of(), variables, source, batch, key, tangents
                )
            )

        total, strategy = measurement.kept("implicit", make), measuring_strategy()

        def product(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
            sums = total.over(batches, measurement.key, tensors, strategy=strategy)
            return [s / batches.num_examples for s in sums]

        def make_diagonal() -> DiagonalFisher:
            check_passes(DiagonalFisher, measurement)
            return DiagonalFisher.measured(measurement)

        return cls(
            operator=Operator(
                measurement.layout,
                product,
                measurement.dtype,
                is_semidefinite=True,
                memory_limit=measurement.memory_limit,
            ),
            make_diagonal=make_diagonal,
            **measurement.fields(),
        )

    def diagonal(self) -> list[np.ndarray]:
        """The exact diagonal, by one pass over the data at the first call.

        Raises:
            ValueError: Labels are expected and there are more outputs than `pass_limit`, each of
                which needs a backward pass; `trace(method="xtrace")` needs no diagonal.
        """
        if "_diagonal" not in vars(self):
            vars(self)["_diagonal"] = self.make_diagonal()
        return vars(self)["_diagonal"].diagonal()

    def matvec(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The exact product, by one pass over the data."""
        return self.operator.matvec(tensors)

    def trace(
        self,
        *,
        method: Literal["exact", "xtrace", "hutchinson"] = "exact",
        num_probes: int = 8,
        seed: int = 0,
    ) -> Estimate:
        """The trace: exact from the diagonal, or estimated by "xtrace" or "hutchinson"."""
        check_choice("method", method, ("exact", *TRACE_METHODS))
        check_probes(num_probes, seed=seed)
        if method != "exact":
            return self.operator.trace(method=method, num_probes=num_probes, seed=seed)
        total = sum(float(np.sum(d, dtype=np.float64)) for d in self.diagonal())
        return Estimate(total, vars(self)["_diagonal"].standard_error)

    def logdet(
        self, shift: float, *, num_probes: int = 8, num_steps: int = 20, seed: int = 0
    ) -> Estimate:
        """Log-determinant by stochastic Lanczos quadrature, in `num_probes * num_steps` passes."""
        return self.operator.logdet(shift, num_probes=num_probes, num_steps=num_steps, seed=seed)

    def eigenvalues(
        self,
        count: int | None = 1,
        *,
        tolerance: float = 1e-3,
        max_steps: int = 100,
        seed: int = 0,
    ) -> np.ndarray:
        """The largest by Lanczos' method, each within `tolerance` times the first of an eigenvalue.

        Multiple eigenvalues are found once: there are fewer than `count` if fewer are distinct.
        """
        return self.operator.eigenvalues(
            self._num_eigenvalues(count), tolerance=tolerance, max_steps=max_steps, seed=seed
        )

    def spectrum(
        self, *, num_probes: int = 8, num_steps: int = 20, seed: int = 0
    ) -> QuadratureSpectrum:
        """The spectrum, estimated by random vectors in `num_probes * num_steps` passes."""
        measures = self.operator.quadratures(num_probes=num_probes, num_steps=num_steps, seed=seed)
        return QuadratureSpectrum(measures)

    def power_product(self, rows: np.ndarray, exponent: float, shift: float = 0.0) -> np.ndarray:
        """Refused: there is no matrix."""
        raise ValueError(
            "Powers of F need its eigenvectors; use structure='diagonal', 'kronecker', 'dense' or "
            "'gram'. Received: structure='implicit'"
        )

    def _repr_html_(self) -> str:
        """The line of `repr` only: a table would need a pass over the data."""
        return f"<p>{escape(repr(self))}</p>"

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(labels={self.labels!r}, num_examples={self.num_examples}, "
            f"variables={len(self.variables)}, size={self.size})"
        )

    def _merged(self, other: ImplicitFisher, num_examples: int) -> ImplicitFisher:
        a, b = self.num_examples / num_examples, other.num_examples / num_examples
        return ImplicitFisher(
            self.layout,
            self.labels,
            num_examples,
            self.operator.mixed(a, other.operator, b),
            lambda: self.make_diagonal() + other.make_diagonal(),
        )

    def _arrays(self) -> dict[str, np.ndarray]:
        raise ValueError(
            "An implicit result holds no numbers to write; use structure='diagonal' or "
            "'kronecker'. Received: structure='implicit'"
        )

    @classmethod
    def _from_archive(cls, fields: dict[str, Any], archive: Archive) -> NoReturn:
        archive.refuse("of an implicit result, which no file holds")


def product_sum(
    model: keras.Model,
    variables: list[keras.Variable],
    source: ColumnSource,
    batch: Batch,
    key: tf.Tensor,
    tangents: list[tf.Tensor],
) -> list[tf.Tensor]:
    """Sum over the batch of `J^T A J v`: directional derivative, label information, gradient."""
    step = Step(variables, tangents)
    with tf.GradientTape(watch_accessed_variables=False) as outer:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            rows = batch.weights.shape[0]
            outputs = step.run(model, batch.x, rows, tape)
            terms = source.likelihood.terms_of_rows(outputs, rows)
            eta = [e for term in terms for e in term.eta]
        # A gradient is linear in its output gradients, and the derivative with respect to these is
        # J. Operations that only the values would need are pruned, so that J costs as much as in
        # forward mode, without products with zero derivatives of inputs.
        directions = [tf.zeros_like(e) for e in eta]
        outer.watch(directions)
        slopes, moves = step.slopes(tape, eta, directions)
    moved = outer.gradient(
        slopes,
        directions,
        output_gradients=moves,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return step.gradients(tape, eta, _through_information(source, terms, batch, key, moved))


def _through_information(
    source: ColumnSource, terms: list[Term], batch: Batch, key: tf.Tensor, moved: list[tf.Tensor]
) -> list[tf.Tensor]:
    """`A = sum_k u_k u_k^T` times the change of the parameters, in closed form if there is one."""
    if source.labels == "expected":
        out, rest = [], list(moved)
        for term in terms:
            mine, rest = rest[: len(term.eta)], rest[len(term.eta) :]
            out += term.multiply(mine)
        return [tf.stop_gradient(by_example(batch.weights, u) * u) for u in out]
    count, column = source.columns(terms, batch, key)

    def of_column(k: int | tf.Tensor) -> list[tf.Tensor]:
        u = column(k)
        along = tf.add_n([_sum_row(a * b) for a, b in zip(u, moved, strict=True)])
        return [by_example(along, a) * a for a in u]

    return sum_over(count, of_column, [tf.zeros_like(m) for m in moved])


def _sum_row(a: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.reshape(a, [a.shape[0], -1]), 1)


register_structure(ImplicitFisher)
