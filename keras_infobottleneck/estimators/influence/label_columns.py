"""The columns that gradients of single examples are computed for: the loss, or all outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch, Batches
from keras_infobottleneck.estimators.fisher.label_pairs import label_of_each, losses_of
from keras_infobottleneck.estimators.fisher.scores import ColumnSource, Scores
from keras_infobottleneck.estimators.fisher.terms import Likelihood, Term

__all__ = ["LabelNumbers", "columns_of", "label_numbers"]


class LabelNumbers(NamedTuple):
    """Loss of each example, and its derivatives by the outputs; arrays, or tensors of a batch.

    Attributes:
        losses: Minus the log-probability of the label, in nats, `[n]`.
        slopes: For outputs, the gradient of the loss by the outputs, `[n, outputs]`; else empty.
        curvatures: For outputs, the Fisher information of the label about them,
            `[n, outputs, outputs]`; else empty.
        parameters: For outputs, their values, such as logits, `[n, outputs]`; else empty.
    """

    losses: Any
    slopes: Any
    curvatures: Any
    parameters: Any


@dataclass(frozen=True)
class _OutputColumns(ColumnSource):
    """Scores with one column for each parameter of the label's distribution."""

    def columns(
        self, terms: list[Term], batch: Batch, key: tf.Tensor
    ) -> tuple[int, Callable[[int | tf.Tensor], list[tf.Tensor]]]:
        """Number of parameters of the label's distribution, and the unit vector of each."""
        term = _only_term(terms)

        def column(k: int | tf.Tensor) -> list[tf.Tensor]:
            return [_unit(term, k)]

        return term.num_outputs, column


def _only_term(terms: list[Term]) -> Term:
    """The only term of the label's distribution, which must have one array of parameters.

    Raises:
        ValueError: There are several terms, or several arrays of parameters.
    """
    if len(terms) > 1 or len(terms[0].eta) > 1:
        raise ValueError(
            "`likelihood` must be one distribution with one array of parameters, such as "
            f"'categorical'. Received: {sum(len(term.eta) for term in terms)} arrays of parameters"
        )
    return terms[0]


def _unit(term: Term, k: int | tf.Tensor) -> tf.Tensor:
    """Ones at parameter k of every example and zeros elsewhere, in the shape of the parameters."""
    (eta,) = term.eta
    one_hot = tf.one_hot(k, term.num_outputs, dtype=eta.dtype)
    return tf.zeros_like(eta) + tf.reshape(one_hot, [1, *eta.shape[1:]])


def columns_of(
    model: keras.Model, likelihood: Likelihood, batches: Batches, of_outputs: bool
) -> tuple[ColumnSource, int]:
    """The source of the columns, and their number.

    Args:
        model: The model.
        likelihood: Maps the model's outputs to the label's distribution.
        batches: The examples.
        of_outputs: Whether to use one column for each parameter of the distribution, rather than
            one of the loss.
    """
    if not of_outputs:
        return ColumnSource(likelihood, "empirical"), 1
    outputs = model(batches.first_inputs(), training=False)
    term = _only_term(likelihood.terms(outputs))
    return _OutputColumns(likelihood, "empirical"), term.num_outputs


def label_numbers(scores: Scores, source: ColumnSource, y: Any) -> LabelNumbers:
    """Losses of a batch, with their derivatives by the outputs if `source` has columns of these."""
    losses = losses_of(scores.terms, y)
    if not isinstance(source, _OutputColumns):
        nothing = tf.zeros([scores.num_rows, 0])
        return LabelNumbers(losses, nothing, nothing, nothing)
    (term,), (label,) = scores.terms, label_of_each(scores.terms, y)

    def flat(a: tf.Tensor) -> tf.Tensor:
        return tf.reshape(a, [scores.num_rows, term.num_outputs])

    (score,), (eta,) = term.score(label), term.eta
    columns = tf.map_fn(
        lambda k: flat(term.multiply([_unit(term, k)])[0]),
        tf.range(term.num_outputs),
        fn_output_signature=eta.dtype,
    )
    # Scores are gradients of the log-probability, which is minus the loss.
    return LabelNumbers(losses, -flat(score), tf.transpose(columns, [1, 2, 0]), flat(eta))
