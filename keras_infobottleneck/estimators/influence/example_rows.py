"""Gradients of single examples, streamed to the host one batch of rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch, Batches
from keras_infobottleneck.estimators.fisher.label_pairs import label_of_each
from keras_infobottleneck.estimators.fisher.planning import try_one_example
from keras_infobottleneck.estimators.fisher.rules.rule import registered_rules
from keras_infobottleneck.estimators.fisher.score_rows import all_rows
from keras_infobottleneck.estimators.fisher.scores import ColumnSource, Scores
from keras_infobottleneck.estimators.fisher.terms import Likelihood, Term
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.replicas import full_products

__all__ = ["ROWS_BYTES", "ExampleRows", "example_rows"]

# Rows of one batch take at most about this, in float32; on the host they are copied to float64.
ROWS_BYTES = 64 * 2**20


class ExampleRows(NamedTuple):
    """Gradients, losses and outputs of n examples, in float64 but for `rows`.

    Attributes:
        rows: gradients of the loss by the weights, `[n, 1, weights]`; of outputs those of every
            parameter of the label's distribution, `[n, outputs, weights]`.
        losses: minus the log-probability of the label, in nats, `[n]`.
        slopes: of outputs, the loss's gradient by the outputs, `[n, outputs]`; else empty.
        curvatures: of outputs, Fisher information of the label about them,
            `[n, outputs, outputs]`; else empty.
        parameters: of outputs, these themselves, such as logits, `[n, outputs]`; else empty.
    """

    rows: np.ndarray
    losses: np.ndarray
    slopes: np.ndarray
    curvatures: np.ndarray
    parameters: np.ndarray


@dataclass(frozen=True)
class _OutputColumns(ColumnSource):
    """Scores whose columns are the parameters of the label's distribution, one after the other."""

    def columns(
        self, terms: list[Term], batch: Batch, key: tf.Tensor
    ) -> tuple[int, Callable[[int | tf.Tensor], list[tf.Tensor]]]:
        """Number of parameters of the label's distribution, and the unit vector of each."""
        term = _only_term(terms)

        def column(k: int | tf.Tensor) -> list[tf.Tensor]:
            return [_unit(term, k)]

        return term.num_outputs, column


def _only_term(terms: list[Term]) -> Term:
    """The only term of the label's distribution, which has one array of parameters.

    Raises:
        ValueError: several, or one with several parameters.
    """
    if len(terms) > 1 or len(terms[0].eta) > 1:
        raise ValueError(
            "`likelihood` must be one distribution with one array of parameters, such as "
            f"'categorical'. Received: {sum(len(term.eta) for term in terms)} arrays of parameters"
        )
    return terms[0]


def _unit(term: Term, k: int | tf.Tensor) -> tf.Tensor:
    """One at parameter k of every example, in the shape of the parameters."""
    (eta,) = term.eta
    one_hot = tf.one_hot(k, term.num_outputs, dtype=eta.dtype)
    return tf.zeros_like(eta) + tf.reshape(one_hot, [1, *eta.shape[1:]])


def example_rows(
    model: keras.Model,
    variables: list[keras.Variable],
    likelihood: Likelihood,
    batches: Batches,
    *,
    of_outputs: bool = False,
    verbose: int = 0,
) -> Iterator[ExampleRows]:
    """Rows of every batch, in the order of the data; one pass, in inference mode.

    Args:
        model: the model.
        variables: weights that the gradients are by.
        likelihood: from the model's outputs to the label's distribution.
        batches: the examples; they are split where their rows would take too much memory.
        of_outputs: whether the rows are of the distribution's parameters rather than of the loss.
        verbose: 1 for a Keras progress bar.
    """
    kind = _OutputColumns if of_outputs else ColumnSource
    source = kind(likelihood, "empirical")
    try_one_example(model, source, batches)
    num_columns = 1
    if of_outputs:
        outputs = model(batches.first_inputs(), training=False)
        num_columns = _only_term(likelihood.terms(outputs)).num_outputs
    size = sum(math.prod(v.shape) for v in variables)
    batches.split(max(1, ROWS_BYTES // (4 * size * num_columns)))

    def make(model_of: Callable[[], keras.Model]) -> Callable[[Batch], list[tf.Tensor]]:
        def step(batch: Batch) -> list[tf.Tensor]:
            key = tf.constant(0, tf.int64)
            scores = Scores(model_of(), variables, source, batch, key)
            return _of_scores(scores, source, batch.y, of_outputs)

        return tf.function(step, autograph=False)

    key = ("example rows", source, tuple(map(id, variables)), registered_rules())
    step = compiled(model, key, make)
    bar = keras.utils.Progbar(batches.num_batches, verbose=verbose)
    for number, batch in enumerate(batches, start=1):
        count = int(np.sum(batch.weights))
        # TensorFlow counts traces by code, for all models together: called as it is, the step
        # would be said to retrace.
        traced = step.get_concrete_function(batch)
        with full_products():
            rows, *others = traced(batch)
        others = [other.numpy()[:count].astype(np.float64) for other in others]
        yield ExampleRows(_finite(rows.numpy()[:, :count].transpose(1, 0, 2)), *others)
        bar.update(number)


def _of_scores(scores: Scores, source: ColumnSource, y: Any, of_outputs: bool) -> list[tf.Tensor]:
    """The tensors of `ExampleRows`, rows with their columns first."""
    labels = label_of_each(scores.terms, y)
    pairs = list(zip(scores.terms, labels, strict=True))
    losses = -tf.add_n([term.log_prob(label) for term, label in pairs])
    if not of_outputs:
        nothing = tf.zeros([scores.num_rows, 0])
        # Scores are gradients of the log-probability, which is minus the loss.
        return [-all_rows(scores), losses, nothing, nothing, nothing]
    term, label = pairs[0]
    columns = [term.multiply([_unit(term, k)])[0] for k in range(term.num_outputs)]
    flat = [tf.reshape(a, [scores.num_rows, -1]) for a in (*term.score(label), *columns, *term.eta)]
    return [all_rows(scores), losses, -flat[0], tf.stack(flat[1:-1], 2), flat[-1]]


def _finite(rows: np.ndarray) -> np.ndarray:
    """The rows, checked to be finite.

    Raises:
        ValueError: NaN or infinite.
    """
    if not np.all(np.isfinite(rows)):
        raise ValueError(
            "Gradients of examples must be finite; look for NaN in the data, labels outside the "
            "classes or overflow in the model. Received: a gradient that is not finite"
        )
    return rows
