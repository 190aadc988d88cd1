"""The per-example scores of a batch.

With `eta` the parameters of the label's distribution and `u_nk` the columns of its information
about them, the Fisher matrix is `F = 1/N sum_n sum_k g_nk g_nk^T` with scores
`g_nk = (d eta_n / d w)^T u_nk`. One backward pass gives the scores of column k for a whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch
from keras_infobottleneck.estimators.fisher.label_pairs import label_of_each
from keras_infobottleneck.estimators.fisher.likelihoods import Labels
from keras_infobottleneck.estimators.fisher.rules.example_loop import ExampleLoop, LoopGradient
from keras_infobottleneck.estimators.fisher.rules.gradients import (
    Call,
    VariableGradient,
    by_example,
)
from keras_infobottleneck.estimators.fisher.rules.rule import (
    LayerRule,
    rules_running,
)
from keras_infobottleneck.estimators.fisher.terms import Likelihood, Term

__all__ = ["ColumnSource", "Scores"]

Tensors = list[tf.Tensor]


@dataclass(frozen=True)
class ColumnSource:
    """The labels for which scores are computed.

    Args:
        likelihood: Maps outputs to the label's distribution.
        labels: "expected", "sampled" or "empirical".
        num_samples: Number of labels drawn per example, for "sampled".
    """

    likelihood: Likelihood
    labels: Labels
    num_samples: int = 1

    def columns(
        self, terms: list[Term], batch: Batch, key: tf.Tensor
    ) -> tuple[int, Callable[[int | tf.Tensor], Tensors]]:
        """The number of columns, and a function from k to the cotangents of all parameters."""
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
        model: The model, run in inference mode.
        variables: The weights that the scores are about.
        source: The labels.
        batch: The batch.
        key: Seed of the drawn labels.
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
        # Each rule with the calls of its layer, in the order of the first calls. The weights of a
        # call without a rule are left to the loop over examples.
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
        # Rules take their weights off the tape: a weight that is still connected has another use.
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
        """For each form, the output gradients of its calls, for column k."""
        gradients, loop = self._given(k)
        return [
            loop if isinstance(form, LoopGradient) else [gradients[id(call)] for call in form.calls]
            for form in self.forms
        ]

    def _given(self, k: int | tf.Tensor) -> tuple[dict[int, tf.Tensor], ExampleLoop | None]:
        """Output gradients of all calls by identity, and the loop over examples, or None."""
        cotangents = self._column(k)
        outputs = {id(call): call.outputs for call in self._calls}
        gradients = self._tape.gradient(
            self._eta,
            outputs,
            output_gradients=cotangents,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        # A gradient that comes out of a loop over time has lost its static shape.
        gradients = {
            key: tf.ensure_shape(gradient, outputs[key].shape)
            for key, gradient in gradients.items()
        }
        rest = self._in_loop
        return gradients, self._loop(rest, cotangents) if rest else None

    @property
    def _calls(self) -> list[Call]:
        """All recorded calls, each once: a kernel and its bias share theirs."""
        return list({id(call): call for form in self.forms for call in form.calls}.values())

    @property
    def _in_loop(self) -> list[keras.Variable]:
        """The weights that no rule covers."""
        return [form.variable for form in self.forms if isinstance(form, LoopGradient)]

    @property
    def columns_bytes(self) -> int:
        """Bytes of one example in `columns`, beyond those of any gradient pass.

        A gradient pass also holds the outputs of all calls once.
        """
        outputs = [(call.outputs.shape[1:], call.outputs.dtype) for call in self._calls]
        in_loop = [(v.shape, tf.as_dtype(v.dtype)) for v in self._in_loop]
        of_calls, of_loop = (
            sum(math.prod(shape) * dtype.size for shape, dtype in arrays)
            for arrays in (outputs, in_loop)
        )
        return (self.num_columns - 1) * of_calls + self.num_columns * of_loop

    def columns(self) -> list[Tensors]:
        """For each form, the arrays from which all its gradients follow, `[columns, batch, ...]`.

        These are the output gradients of its calls, or, for weights without a rule, the gradients
        themselves.
        """
        calls, in_loop = self._calls, self._in_loop

        def of_column(k: int | tf.Tensor) -> Tensors:
            gradients, loop = self._given(k)
            found = [gradients[id(call)] for call in calls]
            return found if loop is None else found + [loop.rows(v) for v in in_loop]

        if self.num_columns == 1:
            found = [a[None] for a in of_column(0)]
        else:
            signature = [tf.TensorSpec(call.outputs.shape, call.outputs.dtype) for call in calls]
            signature += [tf.TensorSpec([self.num_rows, *v.shape], v.dtype) for v in in_loop]
            found = tf.map_fn(
                of_column,
                tf.range(self.num_columns),
                fn_output_signature=signature,
                parallel_iterations=1,
            )
        made = dict(zip(map(id, [*calls, *in_loop]), found, strict=True))
        return [[made[id(each)] for each in (form.calls or [form.variable])] for form in self.forms]

    def _loop(self, variables: list[keras.Variable], cotangents: Tensors) -> ExampleLoop:
        """The loop that computes gradients of these variables, one example at a time."""
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
