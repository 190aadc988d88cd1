"""The columns that gradients of single examples are taken for: the loss, or all of the outputs."""

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
    """What a label says of an example, without its gradients; arrays, or tensors of a batch.

    Attributes:
        losses: minus the log-probability of the label, in nats, `[n]`.
        slopes: of outputs, the loss's gradient by the outputs, `[n, outputs]`; else empty.
        curvatures: of outputs, Fisher information of the label about them,
            `[n, outputs, outputs]`; else empty.
        parameters: of outputs, these themselves, such as logits, `[n, outputs]`; else empty.
    """

    losses: Any
    slopes: Any
    curvatures: Any
    parameters: Any


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


def columns_of(
    model: keras.Model, likelihood: Likelihood, batches: Batches, of_outputs: bool
) -> tuple[ColumnSource, int]:
    """Where the columns come from, and how many there are.

    Args:
        model: the model.
        likelihood: from the model's outputs to the label's distribution.
        batches: the examples.
        of_outputs: one column for each parameter of the distribution, rather than one of the loss.
    """
    if not of_outputs:
        return ColumnSource(likelihood, "empirical"), 1
    outputs = model(batches.first_inputs(), training=False)
    term = _only_term(likelihood.terms(outputs))
    return _OutputColumns(likelihood, "empirical"), term.num_outputs


def label_numbers(scores: Scores, source: ColumnSource, y: Any) -> LabelNumbers:
    """The numbers of a batch."""
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
