"""`fisher_information`: validation, the memory plan, and one compiled pass per structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.batches import Batches
from keras_infobottleneck.estimators.fisher.diagonal import DiagonalFisher, square_sums
from keras_infobottleneck.estimators.fisher.information import FisherInformation
from keras_infobottleneck.estimators.fisher.layout import Layout
from keras_infobottleneck.estimators.fisher.likelihoods import (
    Labels,
    check_labels,
    find_likelihood,
)
from keras_infobottleneck.estimators.fisher.scores import ColumnSource, Scores
from keras_infobottleneck.estimators.passes import compiled, summed

__all__ = ["fisher_information"]

Structure = Literal["diagonal", "kronecker", "dense", "gram", "implicit"]

BLOCK_BYTES = 32 * 2**20


def fisher_information(
    model: keras.Model,
    data: Any,
    *,
    structure: Structure = "diagonal",
    labels: Labels = "sampled",
    likelihood: str | Callable | None = None,
    num_samples: int = 1,
    variables: Sequence[keras.Variable] | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    verbose: int = 0,
) -> FisherInformation:
    check_labels(labels)
    source = ColumnSource(find_likelihood(model, likelihood), labels, num_samples)
    batches = Batches(data, batch_size, needs_labels=labels == "empirical")
    variables = model.trainable_variables
    key = tf.constant(0 if seed is None else seed, tf.int64)

    def make(model_of):
        def step(batch, key):
            scores = Scores(model_of(), variables, source, batch, key)
            squares, norms = square_sums(scores, BLOCK_BYTES)
            return squares, tf.reduce_sum(norms), tf.reduce_sum(norms**2)

        return step

    step = compiled(model, ("diag", source), make)
    squares, norm, norm2 = summed(lambda b: step(b, key), batches, verbose=verbose)
    n = batches.num_examples
    return DiagonalFisher(
        Layout.of(variables), labels, n, tuple(s.numpy() / n for s in squares)
    )
