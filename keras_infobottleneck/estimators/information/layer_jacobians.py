"""Jacobians of a layer's activations with respect to weights and inputs, example by example.

One backward pass gives one unit for every example, or, with copies of the examples, a different
unit for each copy. A loop over time takes nearly the same time for few rows as for many; so for a
recurrent layer there are as many copies as fit in memory.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.estimators.fisher.planning import (
    Trial,
    outputs_of_example,
    try_one_example,
)
from keras_infobottleneck.estimators.fisher.rules.rule import registered_rules
from keras_infobottleneck.estimators.fisher.score_products import ScoreProducts
from keras_infobottleneck.estimators.fisher.score_rows import all_rows
from keras_infobottleneck.estimators.fisher.scores import ColumnSource, Scores
from keras_infobottleneck.estimators.fisher.terms import Term
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.contents import all_layers
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.replicas import full_products

__all__ = ["by_inputs", "by_weights", "has_copies", "products_by_weights", "trial_of"]

# Memory that a loop over time may use for its gradient.
KEPT_BYTES = 128 * 2**20
# Numbers kept per step for each column of its kernels: sums, activations, states.
KEPT_OF_GATE = 3


@dataclasses.dataclass(frozen=True)
class _UnitOfCopy(ColumnSource):
    """Columns that are unit vectors: in column k, copy c of the examples has unit k copies + c.

    Attributes:
        copies: Number of copies of the examples, one after the other.
    """

    copies: int = 1

    def columns(
        self, terms: list[Term], batch: Batch, key: tf.Tensor
    ) -> tuple[int, Callable[[int | tf.Tensor], list[tf.Tensor]]]:
        (eta,) = terms[0].eta
        copy = tf.range(eta.shape[0]) // (eta.shape[0] // self.copies)

        def column(k: int | tf.Tensor) -> list[tf.Tensor]:
            return [tf.one_hot(k * self.copies + copy, eta.shape[1], dtype=eta.dtype)]

        return -(-eta.shape[1] // self.copies), column


def by_weights(
    model: keras.Model, variables: list[keras.Variable], part: np.ndarray
) -> list[np.ndarray]:
    """Jacobians `dz/dw` of the activations for each variable, `[examples, units, entries]`.

    They are the scores of a normal distribution whose mean is the activations, by layer rules.

    Args:
        model: Model from one array of inputs to activations `[examples, units]`.
        variables: Weights of the model.
        part: The examples.
    """
    copies = _copies(model, len(part))
    source = _UnitOfCopy(find_likelihood(model, "normal"), "expected", copies=copies)
    rows = len(part) * copies

    def make(model_of: Callable[[], keras.Model]) -> Callable[[tf.Tensor], tf.Tensor]:
        def step(x: tf.Tensor) -> tf.Tensor:
            x = tf.tile(x, [copies, *[1] * (x.shape.rank - 1)])
            batch = Batch(x, (), tf.ones([rows]), tf.constant(0, tf.int64))
            scores = Scores(model_of(), variables, source, batch, tf.constant(0, tf.int64))
            return all_rows(scores)

        return tf.function(step, autograph=False).get_concrete_function(spec)

    spec = tf.TensorSpec(part.shape, part.dtype)
    key = ("jacobian by weights", spec, tuple(map(id, variables)), registered_rules())
    compiled(model, ("checked", *key), lambda _: outputs_of_example(model, tf.constant(part[:1])))
    found = compiled(model, key, make)(tf.constant(part)).numpy()
    found = found.reshape(-1, len(part), found.shape[-1])[: model.output.shape[1]]
    ends = np.cumsum([math.prod(v.shape) for v in variables])[:-1]
    return np.split(found.transpose(1, 0, 2), ends, axis=2)


def products_by_weights(
    model: keras.Model, variables: list[keras.Variable], part: np.ndarray, how: ScoreProducts
) -> np.ndarray:
    """`J M J^T` for the Jacobians J by the weights, `[examples, units, units]`, in float64.

    Args:
        model, variables, part: As in `by_weights`.
        how: The computation of products under M, a single power of a Fisher matrix, with
            operands in float64.
    """
    source = _UnitOfCopy(find_likelihood(model, "normal"), "expected")
    of_scores = how.of_scores

    def make(model_of: Callable[[], keras.Model]) -> Callable[..., tf.Tensor]:
        def step(x: tf.Tensor, operands: Any) -> tf.Tensor:
            batch = Batch(x, (), tf.ones([x.shape[0]]), tf.constant(0, tf.int64))
            scores = Scores(model_of(), variables, source, batch, tf.constant(0, tf.int64))
            return of_scores(scores, scores.columns(), operands)[:, 0]

        return tf.function(step, autograph=False).get_concrete_function(spec, operands)

    operands = how.operands
    spec = tf.TensorSpec(part.shape, part.dtype)
    # For diagonal sides of a Kronecker product the eigenvectors are None.
    shapes = tuple(a is not None and tuple(a.shape) for a in tf.nest.flatten(operands))
    key = (how.key, shapes, spec, tuple(map(id, variables)), registered_rules())
    key = ("products by weights", *key)
    compiled(model, ("checked", *key), lambda _: outputs_of_example(model, tf.constant(part[:1])))
    with full_products():
        found = compiled(model, key, make)(tf.constant(part), operands)
    return found.numpy() * how.units[0]


def by_inputs(model: keras.Model, part: np.ndarray, layer: str) -> np.ndarray:
    """Jacobians `dz/dx` of the activations by the inputs, `[examples, units, inputs]`.

    Args:
        model, part: As in `by_weights`.
        layer: Name of the layer, for the message.

    Raises:
        ValueError: The activations cannot be differentiated along the inputs.
    """
    copies = _copies(model, len(part))
    num_units = int(model.output.shape[1])
    num_columns = -(-num_units // copies)

    def make(model_of: Callable[[], keras.Model]) -> Callable[[tf.Tensor], tf.Tensor]:
        def jacobian(x: tf.Tensor) -> tf.Tensor:
            count = tf.shape(x)[0]
            x = tf.tile(x, [copies, *[1] * (x.shape.rank - 1)])
            copy = tf.repeat(tf.range(copies), count)
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(x)
                z = model_of()(x, training=False)
            if tape.gradient(z, x) is None:
                raise ValueError(
                    "The activations must be differentiable along the inputs, which indices "
                    "into an embedding are not; choose a model that starts behind it. "
                    f"Received: layer={layer!r}"
                )

            # A loop over units: the vectorised form fails for some layers in TensorFlow 2.21.
            def of_column(k: tf.Tensor) -> tf.Tensor:
                units = tf.one_hot(k * copies + copy, num_units, dtype=z.dtype)
                rows = tape.gradient(z, x, units, tf.UnconnectedGradients.ZERO)
                return tf.reshape(tf.cast(rows, x.dtype), [copies * count, entries])

            return tf.map_fn(
                of_column,
                tf.range(num_columns),
                fn_output_signature=tf.TensorSpec([None, entries], x.dtype),
                parallel_iterations=1,
            )

        return tf.function(jacobian, autograph=False).get_concrete_function(any_number)

    entries = math.prod(part.shape[1:])
    # One function for any number of examples, so that no call traces another.
    any_number = tf.TensorSpec([None, *part.shape[1:]], part.dtype)
    step = compiled(model, ("jacobian by inputs", any_number, copies), make)
    found = step(tf.constant(part)).numpy().reshape(-1, len(part), entries)
    return found[:num_units].transpose(1, 0, 2)


def trial_of(model: keras.Model, inputs: np.ndarray) -> Trial:
    """The trial with one example of a model of activations."""
    source = _UnitOfCopy(find_likelihood(model, "normal"), "expected")
    return try_one_example(model, source, batches_for(model, inputs[:1], needs_labels=False))


def has_copies(model: keras.Model) -> bool:
    """Whether units are computed together, each with a copy of the example, as for loops."""
    return _copies(model, 1) > 1


def _copies(model: keras.Model, num_examples: int) -> int:
    """Number of copies of the examples in one pass; 1 without a loop over time of known length."""
    found = all_layers(model)
    loops = [layer for layer in found if isinstance(layer, keras.layers.RNN)]
    steps = max((_num_steps(layer) for layer in found), default=0)
    gates = sum(v.shape[-1] for loop in loops for v in loop.weights if len(v.shape) == 2)
    if not steps * gates:
        return 1
    of_example = KEPT_OF_GATE * gates * steps * tf.as_dtype(model.compute_dtype).size
    most = KEPT_BYTES // (of_example * num_examples)
    return int(np.clip(most, 1, model.output.shape[1]))


def _num_steps(layer: keras.layers.Layer) -> int:
    """Steps of the sequences that a layer takes; 0 if it takes none or the length is unknown."""
    try:
        shapes = [tensor.shape for tensor in keras.tree.flatten(layer.input)]
    except (AttributeError, ValueError):  # inside another layer, or called more than once
        return 0
    return max((shape[1] or 0 for shape in shapes if len(shape) == 3), default=0)
