"""Numbers for single examples, from their scores, by one compiled pass over the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch, Batches
from keras_infobottleneck.estimators.fisher.planning import try_one_example
from keras_infobottleneck.estimators.fisher.rules.rule import registered_rules
from keras_infobottleneck.estimators.fisher.scores import ColumnSource, Scores
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.replicas import full_products

__all__ = ["gathered", "passes"]

OfScores = Callable[..., Sequence[tf.Tensor]]


def passes(
    model: keras.Model,
    variables: list[keras.Variable],
    source: ColumnSource,
    batches: Batches,
    name: Hashable,
    of_scores: OfScores,
    operands: Any = (),
    *,
    most_bytes: int | None = None,
    verbose: int = 0,
) -> Iterator[list[np.ndarray]]:
    """The results of `of_scores` for the examples of each batch, in inference mode, in order.

    Args:
        model: The model.
        variables: The weights with respect to which scores are taken.
        source: The labels.
        batches: The examples.
        name: Everything `of_scores` depends on except the model, the weights and the labels.
        of_scores: Function from scores, labels and operands of a batch to tensors `[batch, ...]`,
            the first of which is checked to be finite.
        operands: Nest of tensors.
        most_bytes: Batches are split if the results of a batch and the arrays for the scores of
            all columns would need more; by default they are not split.
        verbose: 1 for a Keras progress bar.
    """

    def make(model_of: Callable[[], keras.Model]) -> tuple[Any, dict[Hashable, int]]:
        example_bytes: dict[Hashable, int] = {}

        def step(batch: Batch, operands: Any) -> Sequence[tf.Tensor]:
            key = tf.constant(0, tf.int64)
            scores = Scores(model_of(), variables, source, batch, key)
            found = of_scores(scores, batch.y, operands)
            results = sum(math.prod(a.shape[1:]) * a.dtype.size for a in found)
            example_bytes[_form(batch, operands)] = scores.columns_bytes + results
            return found

        return tf.function(step, autograph=False), example_bytes

    try_one_example(model, source, batches)
    key = (name, source, tuple(map(id, variables)), registered_rules())
    step, example_bytes = compiled(model, key, make)
    bar = keras.utils.Progbar(batches.num_batches, verbose=verbose)
    for number, batch in enumerate(batches, start=1):
        # TensorFlow counts traces by code, for all models together. Called directly, the function
        # would cause a warning about retracing.
        traced = step.get_concrete_function(batch, operands)
        if number == 1 and most_bytes is not None:
            rows = max(1, most_bytes // max(1, example_bytes[_form(batch, operands)]))
            if rows < len(batch.weights):
                batches.split(rows)
                yield from passes(
                    model, variables, source, batches, name, of_scores, operands, verbose=verbose
                )
                return
        with full_products():
            found = traced(batch, operands)
        count = int(np.sum(batch.weights))
        arrays = [array.numpy()[:count] for array in found]
        _check_finite(arrays[0])
        yield arrays
        bar.update(number)


def _form(batch: Batch, operands: Any) -> Hashable:
    """Shapes and dtypes of one example, and shapes of the operands."""
    examples = [(a.shape[1:], a.dtype) for a in tf.nest.flatten((batch.x, batch.y))]
    return tuple(examples), tuple(a.shape for a in tf.nest.flatten(operands) if a is not None)


def gathered(parts: Iterable[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """The arrays of all batches, concatenated, in float64."""
    return [np.concatenate(arrays).astype(np.float64) for arrays in zip(*parts, strict=True)]


def _check_finite(numbers: np.ndarray) -> None:
    """Refuses NaN and infinite numbers."""
    if not np.all(np.isfinite(numbers)):
        raise ValueError(
            "Gradients of examples must be finite; look for NaN in the data, labels outside the "
            "classes or overflow in the model. Received: a gradient that is not finite"
        )
