"""The Hessian of the mean negative log-likelihood, as an operator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_count, check_model
from keras_infobottleneck.arguments.memory import available_bytes, mebibytes
from keras_infobottleneck.data.batches import Batch, Batches
from keras_infobottleneck.estimators.fisher.cost import (
    MemoryEstimate,
    check_dry_run,
    seconds_for_all,
)
from keras_infobottleneck.estimators.fisher.label_pairs import losses_of
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.estimators.fisher.planning import outputs_of_example
from keras_infobottleneck.estimators.fisher.rules.rule import registered_rules
from keras_infobottleneck.estimators.fisher.second_derivatives import check_moments
from keras_infobottleneck.estimators.fisher.step import Step
from keras_infobottleneck.introspection.compiled_passes import CompiledSum, compiled
from keras_infobottleneck.introspection.contents import chosen_variables, precision_of, weight_names
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.replicas import measuring_strategy, on_replicas
from keras_infobottleneck.linear_algebra.krylov import WORKING_VECTORS
from keras_infobottleneck.linear_algebra.layout import Layout
from keras_infobottleneck.linear_algebra.operator import DEFAULT_VECTORS, Operator
from keras_infobottleneck.results.estimate import Estimate
from keras_infobottleneck.results.few_draws import error_of_draws
from keras_infobottleneck.results.result import Result, plain

__all__ = ["Hessian", "hessian"]


@dataclass(frozen=True, repr=False)
class Hessian(Result):
    """Second derivatives of the mean negative log-likelihood, by products; may be indefinite.

    Attributes:
        operator: Products with vectors.
        num_examples: N.
        precision: Compute dtypes of the layers, such as "float16"; sums are in float32 or better.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        model.compile(loss="mse")
        x, y = np.eye(2, dtype="float32"), np.zeros((2, 1), "float32")
        hessian = kib.estimators.hessian(model, (x, y))
        print(hessian.size, hessian.eigenvalues(2).round(3))
        ```

        ```text
        2 [0.5]
        ```
    """

    operator: Operator
    num_examples: int
    precision: str = ""

    structure = "implicit"

    @property
    def layout(self) -> Layout:
        """Paths and shapes of the weights."""
        return self.operator.layout

    @property
    def variables(self) -> tuple[str, ...]:
        """Paths of the weights, in the order of `matvec`."""
        return self.layout.paths

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.layout.size

    def matvec(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Product of the Hessian with a vector, exact, by one pass over the data."""
        return self.operator.matvec(tensors)

    def trace(
        self,
        *,
        method: Literal["xtrace", "hutchinson"] = "xtrace",
        num_probes: int = 8,
        seed: int = 0,
    ) -> Estimate:
        """Unbiased estimate of the trace, by "xtrace" or "hutchinson"."""
        return self.operator.trace(method=method, num_probes=num_probes, seed=seed)

    def diagonal(self, *, num_probes: int = 8, seed: int = 0) -> list[np.ndarray]:
        """Unbiased estimate of the diagonal by random signs, one array per variable."""
        total = sum(self.operator.diagonals(num_probes=num_probes, seed=seed))
        return self.layout.split(np.asarray(total) / num_probes)

    def by_variable(self, *, num_probes: int = 8, seed: int = 0) -> dict[str, dict[str, Any]]:
        """Maps the path of each variable to `{"trace", "size"}`, estimated by random signs."""
        sums = [
            [np.sum(part, dtype=np.float64) for part in self.layout.split(row)]
            for row in self.operator.diagonals(num_probes=num_probes, seed=seed)
        ]
        found = {}
        for path, traces, size in zip(
            self.variables, np.transpose(sums), self.layout.sizes, strict=True
        ):
            trace = Estimate(float(np.mean(traces)), error_of_draws(traces))
            found[path] = {"trace": trace, "size": size}
        return found

    def logdet(
        self, shift: float, *, num_probes: int = 8, num_steps: int = 20, seed: int = 0
    ) -> Estimate:
        """`log det(H + shift I)` in nats, by stochastic Lanczos quadrature.

        Raises:
            ValueError: The shifted matrix is not positive definite.
        """
        return self.operator.logdet(shift, num_probes=num_probes, num_steps=num_steps, seed=seed)

    def eigenvalues(
        self, count: int = 1, *, tolerance: float = 1e-3, max_steps: int = 100, seed: int = 0
    ) -> np.ndarray:
        """The eigenvalues of largest magnitude, by descending magnitude, by Lanczos' method.

        Multiple eigenvalues are found once: there are fewer than `count` if fewer are distinct.
        """
        return self.operator.eigenvalues(count, tolerance=tolerance, max_steps=max_steps, seed=seed)

    def nuclear_norm(self, *, num_probes: int = 8, num_steps: int = 20, seed: int = 0) -> Estimate:
        """Sum of the eigenvalues' magnitudes, by stochastic Lanczos quadrature."""
        return self.operator.spectral_sum(
            np.abs, num_probes=num_probes, num_steps=num_steps, seed=seed
        )

    def numbers(self) -> dict[str, float]:
        """The trace, estimated with default options, its error, and counts."""
        trace = self.trace()
        return {
            "trace": float(trace),
            "standard_error": trace.standard_error,
            "num_examples": float(self.num_examples),
            "size": float(self.size),
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers for a report; traces are estimated with default options."""
        about = {"structure": self.structure, "num_examples": self.num_examples, "size": self.size}
        return plain({**about, **self.numbers(), "by_variable": self.by_variable()})

    def _columns(self) -> dict[str, Sequence[Any]]:
        rows = self.by_variable()
        traces = [row["trace"] for row in rows.values()]
        return {
            "variable": list(rows),
            "trace": [float(trace) for trace in traces],
            "standard_error": [trace.standard_error for trace in traces],
            "size": [row["size"] for row in rows.values()],
        }

    def _repr_html_(self) -> str:
        """The line of `repr` only: a table would need passes over the data."""
        return f"<p>{escape(repr(self))}</p>"

    def __add__(self, other: Hessian) -> Hessian:
        """The result for the union of two disjoint data sets."""
        if not isinstance(other, Hessian):
            return NotImplemented
        if self.layout != other.layout:
            raise ValueError(
                "Only results of the same variables add up. "
                f"Received: {self.size} weights and {other.size} weights"
            )
        count = self.num_examples + other.num_examples
        share = self.num_examples / count
        operator = self.operator.mixed(share, other.operator, 1.0 - share)
        said = dict.fromkeys([self.precision, other.precision])  # both, if they differ
        return Hessian(operator, count, " and ".join(filter(None, said)))

    def __repr__(self) -> str:
        precision = f", precision={self.precision!r}" if "16" in self.precision else ""
        return (
            f"Hessian(num_examples={self.num_examples}, variables={len(self.variables)}, "
            f"size={self.size}{precision})"
        )


@on_replicas
def hessian(
    model: keras.Model,
    data: Any,
    *,
    likelihood: str | Callable[[Any], Any] | None = None,
    variables: Sequence[keras.Variable] | None = None,
    batch_size: int | None = None,
    memory_limit: int | None = None,
    dry_run: bool | Literal["timed"] = False,
    strategy: tf.distribute.Strategy | None = None,
) -> Hessian | MemoryEstimate:
    """Hessian of the mean negative log-likelihood at the model's weights, as an operator.

    - Products with vectors are exact, by differentiating the gradient once more. The matrix is not
      stored.
    - Eigenvalues, trace and log-determinant are computed from products, with their errors.
    - For a model that is linear in its weights it equals the Fisher information of
      `labels="expected"`. In general it may have negative eigenvalues, unlike the Fisher
      information.
    - The model runs in inference mode: dropout is off.

    Args:
        model: A Keras model.
        data: `(x, y)` arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`; every pass must
            give the same examples.
        likelihood: As in `fisher_information`.
        variables: The weights that the matrix is about; all trainable ones by default.
        batch_size: Examples per batch, for arrays.
        memory_limit: Bytes beyond those of the model, also for the vectors of Lanczos' method and
            XTrace; by default the system's free memory, and half of it for those vectors.
        dry_run: Whether to print and return only the estimate of memory and passes. "timed" adds
            an estimate of the seconds of a product, for which one batch is measured.
        strategy: Strategy on whose replicas it runs; by default that of the current scope.

    Returns:
        A `Hessian`, or a `MemoryEstimate` for a dry run. Each product costs about two gradients
        and the memory of two batches.

    Raises:
        ValueError, TypeError: An argument is invalid.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        model.compile(loss="mse")
        x, y = 2 * np.eye(2, dtype="float32"), np.zeros((2, 1), "float32")
        print(kib.estimators.hessian(model, (x, y)).eigenvalues(1).round(3))  # mean of x^2
        ```

        ```text
        [2.]
        ```
    """
    check_model("model", model)
    check_count("memory_limit", memory_limit, optional=True)
    check_dry_run(dry_run)
    found = find_likelihood(model, likelihood)
    batches = batches_for(model, data, batch_size)
    # An unsuitable likelihood is refused here, before the model is traced.
    found.terms(outputs_of_example(model, batches.first_inputs()))
    variables = chosen_variables(model, variables)
    layout = Layout.of(weight_names(model, variables), variables)
    dtype = tf.as_dtype(variables[0].dtype)
    vector = layout.size * dtype.size
    kept = DEFAULT_VECTORS * vector
    plan = MemoryEstimate("hessian", layout.size, 0, WORKING_VECTORS * vector, 2, kept)
    limit = available_bytes() if memory_limit is None else memory_limit
    fits = limit is None or plan.total_bytes <= limit
    if limit is not None and not (fits or dry_run):
        raise ValueError(
            f"A Hessian of {plan.num_weights:,} weights needs {mebibytes(plan.total_bytes)} for "
            "each product, in addition to the model's own; choose fewer `variables`. "
            f"Received: memory_limit={mebibytes(limit)}"
        )

    def make(model_of: Callable[[], keras.Model]) -> CompiledSum:
        def of_batch(batch: Batch, tangents: list[tf.Tensor]) -> list[tf.Tensor]:
            step = Step(variables, tangents)
            rows = batch.weights.shape[0]
            with tf.GradientTape(watch_accessed_variables=False) as outer:
                with tf.GradientTape(watch_accessed_variables=False) as inner:
                    outputs = step.run(model_of(), batch.x, rows, outer, inner)
                    terms = found.terms_of_rows(outputs, rows)
                    losses = losses_of(terms, batch.y)
                    loss = tf.reduce_sum(losses * tf.cast(batch.weights, losses.dtype))
                slopes, moves = step.slopes(inner, loss)
            check_moments()
            # The gradient of `slopes . moves`, the derivative of the gradient along the step.
            return step.gradients(outer, [*slopes, *moves], [*moves, *slopes])

        return CompiledSum(of_batch)

    strategy = strategy or measuring_strategy()

    def product(tensors: list[tf.Tensor], batches: Batches = batches) -> list[tf.Tensor]:
        # Looked up at each product, so that the operator keeps its model alive.
        total = compiled(
            model, ("hessian", found, tuple(map(id, variables)), registered_rules()), make
        )
        return [p / batches.num_examples for p in total.over(batches, tensors, strategy=strategy)]

    if dry_run == "timed" and fits:
        zeros = [tf.zeros(shape, dtype) for shape in layout.shapes]
        seconds = seconds_for_all(batches, lambda first: product(zeros, first))
        plan = dataclasses.replace(plan, seconds=seconds)
    if dry_run:
        print(plan)
        return plan
    operator = Operator(layout, product, dtype, memory_limit=memory_limit)
    return Hessian(operator, batches.count(), precision_of(model))
