"""Gradients of single examples, sent to the host one batch of rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher.score_rows import all_rows
from keras_infobottleneck.estimators.fisher.scores import Scores
from keras_infobottleneck.estimators.fisher.terms import Likelihood
from keras_infobottleneck.estimators.influence.example_passes import passes
from keras_infobottleneck.estimators.influence.label_columns import (
    LabelNumbers,
    columns_of,
    label_numbers,
)

__all__ = ["ROWS_BYTES", "ExampleRows", "example_rows"]

# Limit for the rows of one batch, in float32; on the host they are copied to float64.
ROWS_BYTES = 64 * 2**20


class ExampleRows(NamedTuple):
    """Gradients of n examples, and quantities that depend on their labels.

    Attributes:
        rows: Gradients of the loss by the weights, `[n, 1, weights]`; for outputs, of every
            parameter of the label's distribution, `[n, outputs, weights]`.
        numbers: Quantities that depend on the labels, in float64.
    """

    rows: np.ndarray
    numbers: LabelNumbers


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
        model: The model.
        variables: The weights with respect to which gradients are taken.
        likelihood: Maps the model's outputs to the label's distribution.
        batches: The examples; batches are split if their rows would take too much memory.
        of_outputs: Whether the rows are of the distribution's parameters instead of the loss.
        verbose: 1 for a Keras progress bar.
    """
    source, num_columns = columns_of(model, likelihood, batches, of_outputs)
    size = sum(math.prod(v.shape) for v in variables)
    batches.split(max(1, ROWS_BYTES // (4 * size * num_columns)))

    def of_batch(scores: Scores, y: Any, _: Any) -> list[tf.Tensor]:
        rows = tf.transpose(all_rows(scores), [1, 0, 2])
        # Scores are gradients of the log-probability, which is the negative loss.
        return [rows if of_outputs else -rows, *label_numbers(scores, source, y)]

    parts = passes(model, variables, source, batches, "example rows", of_batch, verbose=verbose)
    for rows, *numbers in parts:
        yield ExampleRows(rows, LabelNumbers(*(a.astype(np.float64) for a in numbers)))
