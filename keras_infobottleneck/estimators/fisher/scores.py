"""The per-example scores of a batch, and sums of what follows from them over all batches.

With `eta` the parameters of the label's distribution and `u_nk` the columns of its information
about them, the Fisher matrix is `F = 1/N sum_n sum_k g_nk g_nk^T` with scores
`g_nk = (d eta_n / d w)^T u_nk`. One backward pass gives the scores of column k for a whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch, Batches
from keras_infobottleneck.estimators.fisher.label_pairs import label_of_each
from keras_infobottleneck.estimators.fisher.likelihoods import Labels
from keras_infobottleneck.estimators.fisher.rules.example_loop import ExampleLoop, LoopGradient
from keras_infobottleneck.estimators.fisher.rules.gradients import (
    BLOCK_BYTES,
    Call,
    VariableGradient,
    by_example,
)
from keras_infobottleneck.estimators.fisher.rules.rule import (
    LayerRule,
    registered_rules,
    rules_running,
)
from keras_infobottleneck.estimators.fisher.terms import Likelihood, Term
from keras_infobottleneck.introspection.compiled_passes import (
    BATCHES_PER_PART,
    CompiledSum,
    compiled,
)
from keras_infobottleneck.introspection.contents import precision_of, weight_names
from keras_infobottleneck.linear_algebra.layout import Layout

__all__ = ["COTANGENT_COPIES", "PASS_LIMIT", "ColumnSource", "Measurement", "Scores"]

Tensors = list[tf.Tensor]

# Tensors of the size of the label's parameters that a column takes beside a gradient pass: what is
# drawn, its target, the score and the column.
COTANGENT_COPIES = 4
# Backward passes that a batch may take by default: minutes for a batch, even of a small network.
PASS_LIMIT = 10_000


@dataclass(frozen=True)
class ColumnSource:
    """Which labels the scores are for.

    Args:
        likelihood: from outputs to the label's distribution.
        labels: "expected", "sampled" or "empirical".
        num_samples: labels drawn per example, for "sampled".
    """

    likelihood: Likelihood
    labels: Labels
    num_samples: int = 1

    def columns(
        self, terms: list[Term], batch: Batch, key: tf.Tensor
    ) -> tuple[int, Callable[[int | tf.Tensor], Tensors]]:
        """How many columns there are, and the cotangent of every parameter for column k."""
        weights = batch.weights

        def weighed(cotangents: Tensors) -> Tensors:
            return [by_example(weights, u) * tf.stop_gradient(u) for u in cotangents]

        if self.labels == "expected":
            counts = [term.num_columns for term in terms]
            starts = [sum(counts[:i]) for i in range(len(counts))]

            def column(k: int | tf.Tensor) -> Tensors:
                parts = [t.column(k - s) for t, s in zip(terms, starts, strict=True)]
                ones = [tf.zeros_like(e) for t in terms for e in t.eta]
                return weighed(
                    [u + z for u, z in zip([u for p in parts for u in p], ones, strict=True)]
                )

            return sum(counts), column
        if self.labels == "empirical":
            labels = label_of_each(terms, batch.y)
            scores = [t.weighed_score(y, weights) for t, y in zip(terms, labels, strict=True)]
            return 1, lambda k: [tf.stop_gradient(u) for score in scores for u in score]
        drawn = [
            t.draw(key + 1000003 * i, batch.first, self.num_samples) for i, t in enumerate(terms)
        ]
        drawn = tf.nest.map_structure(tf.stop_gradient, drawn)
        shares = weights / math.sqrt(self.num_samples)

        def sampled(k: int | tf.Tensor) -> Tensors:
            labels = tf.nest.map_structure(lambda y: y[k], drawn)
            scores = [t.weighed_score(y, shares) for t, y in zip(terms, labels, strict=True)]
            return [tf.stop_gradient(u) for score in scores for u in score]

        return self.num_samples, sampled


class Scores:
    """The scores of one batch, traced inside a compiled function.

    Args:
        model: the model, run in inference mode.
        variables: the weights that the scores are about.
        source: which labels.
        batch: the batch.
        key: seed of the drawn labels.
    """

    def __init__(
        self,
        model: keras.Model,
        variables: list[keras.Variable],
        source: ColumnSource,
        batch: Batch,
        key: tf.Tensor,
    ):
        self.weights = batch.weights
        self.num_rows = batch.weights.shape[0]
        self._tape = tf.GradientTape(persistent=True, watch_accessed_variables=False)
        # Each rule with the calls of its layer, in the order of their first call. The weights of a
        # call that no rule covers are left to the loop over examples.
        records: dict[LayerRule, list[Call]] = {}

        def run(
            rule: LayerRule,
            call: Callable[..., tf.Tensor],
            inputs: tf.Tensor,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
        ) -> tf.Tensor:
            record, outputs = rule.run(call, inputs, args, kwargs)
            self._tape.watch(outputs)
            records.setdefault(rule, []).append(record)
            return outputs

        with self._tape:
            self._tape.watch([v.value for v in variables])
            with rules_running(model, run, self.num_rows):
                outputs = model(batch.x, training=False)
            terms = source.likelihood.terms_of_rows(outputs, self.num_rows)
        self.terms = terms
        self._eta = [e for term in terms for e in term.eta]
        for eta in self._eta:
            if eta.shape[0] != self.num_rows:
                raise ValueError(
                    "The model's outputs must have one row per example. "
                    f"Received: output shape {tuple(eta.shape)} for {self.num_rows} examples"
                )
        self.num_columns, self._column = source.columns(terms, batch, key)
        self._model, self._source, self._x = model, source, batch.x
        self.forms = self._forms(variables, records)
        for form in self.forms:
            form.wants_norms = source.labels == "sampled"

    def _forms(
        self, variables: list[keras.Variable], records: dict[LayerRule, list[Call]]
    ) -> list[VariableGradient]:
        """The form of each variable's gradient, in the order of `variables`."""
        # Rules cut their weights off the tape: what is still connected is used elsewhere as well.
        elsewhere = self._tape.gradient(self._eta, [v.value for v in variables])
        found: dict[int, list[VariableGradient]] = {}
        for rule, calls in records.items():
            for form in rule.gradients(calls):
                found.setdefault(id(form.variable), []).append(form)
        forms = []
        for variable, gradient in zip(variables, elsewhere, strict=True):
            candidates = found.get(id(variable), [])
            if gradient is None and len(candidates) == 1:
                forms.append(candidates[0])
            else:
                forms.append(LoopGradient(variable, self.num_rows))
        return forms

    def gradients(self, k: int | tf.Tensor) -> list[Any]:
        """For each form the output gradients of its calls, for column k."""
        cotangents = self._column(k)
        outputs = {id(call): call.outputs for form in self.forms for call in form.calls}
        gradients = self._tape.gradient(
            self._eta,
            outputs,
            output_gradients=cotangents,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        # A gradient that comes out of a loop over time has lost its shape.
        gradients = {
            key: tf.ensure_shape(gradient, outputs[key].shape)
            for key, gradient in gradients.items()
        }
        rest = [form.variable for form in self.forms if isinstance(form, LoopGradient)]
        loop = self._loop(rest, cotangents) if rest else None
        return [
            loop if isinstance(form, LoopGradient) else [gradients[id(call)] for call in form.calls]
            for form in self.forms
        ]

    def _loop(self, variables: list[keras.Variable], cotangents: Tensors) -> ExampleLoop:
        """The loop that gives these variables' gradients, the model run on one example a time."""
        values = [v.value for v in variables]

        def gradient(n: tf.Tensor) -> Tensors:
            def one(a: tf.Tensor) -> tf.Tensor:
                return tf.ensure_shape(a[n : n + 1], [1, *a.shape[1:]])

            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(values)
                outputs = self._model(tf.nest.map_structure(one, self._x), training=False)
                terms = self._source.likelihood.terms_of_rows(outputs, 1)
            gradients = tape.gradient(
                [e for term in terms for e in term.eta],
                values,
                output_gradients=[one(u) for u in cotangents],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            return [tf.convert_to_tensor(g) for g in gradients]

        return ExampleLoop(self.num_rows, variables, gradient)


class Measurement:
    """What a structure is made from: sums over all examples, one compiled pass each.

    Args:
        model: the model, run in inference mode.
        variables: the weights that F is about.
        source: which labels.
        batches: the examples.
        num_columns: backward passes that a batch takes.
        num_positions: the most positions of one example at which a kernel is used.
        position_bytes: for each weight what comes in and goes out of it at all positions of one
            example, 0 for what is no kernel.
        max_side: Kronecker factors wider than this are diagonal; None for those that must be.
        memory_limit: bytes, None for what is free.
        pass_limit: backward passes that a batch may take.
        gradient_bytes: the largest gradient of one example that is formed, with its square.
        parameter_bytes: parameters of one example's label, such as the logits.
        num_rows: examples that are measured at a time, None for a batch.
        verbose: 1 for a Keras progress bar.
    """

    def __init__(
        self,
        model: keras.Model,
        variables: list[keras.Variable],
        source: ColumnSource,
        batches: Batches,
        *,
        num_columns: int,
        num_positions: int = 1,
        position_bytes: Sequence[int] = (0,),
        max_side: int | None = None,
        memory_limit: int | None = None,
        pass_limit: int = PASS_LIMIT,
        gradient_bytes: int = 0,
        parameter_bytes: int = 0,
        num_rows: int | None = None,
        verbose: int = 0,
    ):
        self.model, self.variables, self.source = model, variables, source
        self.batches, self.verbose = batches, verbose
        self.num_columns, self.max_side = num_columns, max_side
        self.memory_limit, self.pass_limit = memory_limit, pass_limit
        self.gradient_bytes, self.parameter_bytes = gradient_bytes, parameter_bytes
        self.num_rows = num_rows
        self.num_positions, self.position_bytes = num_positions, position_bytes
        self.layout = Layout.of(weight_names(model, variables), variables)
        self.dtype = tf.as_dtype(variables[0].dtype)
        self.key = tf.constant(0, tf.int64)

    @property
    def vector_bytes(self) -> int:
        """Bytes of one number for each weight."""
        return self.layout.size * self.dtype.size

    @property
    def score_bytes(self) -> int:
        """Bytes that scores take beside a gradient pass: a block of gradients, and cotangents."""
        rows = min(self.num_rows or self.batches.size, self.batches.size)
        of_parameters = COTANGENT_COPIES * rows * self.parameter_bytes
        return max(BLOCK_BYTES, self.gradient_bytes) + of_parameters

    @property
    def sum_copies(self) -> int:
        """Bytes of a sum over batches while it is made, by those of its result."""
        num_batches = self.batches.num_batches
        # Many batches are summed in parts, and these in float64.
        return 1 if num_batches is not None and num_batches <= BATCHES_PER_PART else 3

    def draw_labels_by(self, seed: int) -> None:
        """Fixes the seed of the drawn labels."""
        self.key = tf.constant(seed % 2**62, tf.int64)

    def fields(self) -> dict[str, Any]:
        """What every result says about itself; the examples are counted where they were not."""
        return {
            "layout": self.layout,
            "labels": self.source.labels,
            "num_examples": self.batches.count(),
            "precision": precision_of(self.model),
        }

    def kept(self, name: str, make: Callable[[Callable[[], keras.Model]], Any]) -> Any:
        """What `make` gives for this measurement, see `compiled`."""
        key = (name, self.source, tuple(map(id, self.variables)), registered_rules())
        return compiled(self.model, key, make)

    def summed(self, name: str, of_scores: Callable[[Scores], Any]) -> Any:
        """Sum over batches of `of_scores`."""
        variables, source = self.variables, self.source

        def make(model_of: Callable[[], keras.Model]) -> CompiledSum:
            return CompiledSum(
                lambda batch, key: of_scores(Scores(model_of(), variables, source, batch, key))
            )

        return self.kept(name, make).over(self.batches, self.key, verbose=self.verbose)

    def mean(self, total: tf.Tensor) -> np.ndarray:
        """A sum over examples as a mean, on the host.

        Raises:
            ValueError: it is not finite.
        """
        mean = total.numpy()
        mean /= self.batches.num_examples
        if not np.all(np.isfinite(mean)):
            raise ValueError(
                "The scores must be finite; look for NaN in the data, labels outside the classes, "
                "logits where the likelihood takes probabilities, or overflow in the model. "
                f"Received: likelihood={self.source.likelihood.name!r}, a result that is not finite"
            )
        return mean

    def error(self, total: Any, total_of_squares: Any) -> float:
        """Standard error of a mean from its examples' sum and sum of squares."""
        if self.source.labels != "sampled":
            return 0.0
        count: Any = self.batches.num_examples  # known after the pass
        if count == 1:
            return float("nan")  # no spread is seen; 0.0 would say that the trace is exact
        variance = float(total_of_squares) / count - (float(total) / count) ** 2
        return float(np.sqrt(max(variance, 0.0) / (count - 1)))
