"""The loss of every example at given weights, such as those of a drawn network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch, Batches
from keras_infobottleneck.estimators.fisher.label_pairs import losses_of
from keras_infobottleneck.estimators.fisher.terms import Likelihood, Term
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.replicas import full_products
from keras_infobottleneck.models.posterior_draws import outputs_at

__all__ = ["ExampleLosses", "first_parameters"]


def first_parameters(terms: list[Term]) -> tf.Tensor:
    """Parameters of the first label's distribution, such as logits."""
    return terms[0].eta[0]


class ExampleLosses:
    """Losses of examples at given weights, and a second quantity, in a pass without gradients.

    Args:
        model: Any Keras model, run in inference mode.
        likelihood: Maps the model's outputs to the label's distribution.
        batches: The examples.
        variables: The weights whose values are given in a call.
        beside: Function from the terms of the label's distribution to the second quantity,
            `[batch, ...]`.
    """

    def __init__(
        self,
        model: keras.Model,
        likelihood: Likelihood,
        batches: Batches,
        variables: Sequence[keras.Variable],
        beside: Callable[[list[Term]], tf.Tensor] = first_parameters,
    ):
        self._batches = batches
        # Refuses unsuitable outputs before tracing.
        beside(likelihood.terms(model(batches.first_inputs(), training=False)))

        def make(model_of: Callable[[], keras.Model]) -> Any:
            def of_batch(batch: Batch, values: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
                outputs = outputs_at(model_of(), batch.x, variables, values)
                terms = likelihood.terms_of_rows(outputs, batch.weights.shape[0])
                losses = losses_of(terms, batch.y)
                return tf.cast(losses, tf.float32), tf.cast(beside(terms), tf.float32)

            traced: Any = tf.function(of_batch, autograph=False)

            def of_stack(stack: Batch, values: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
                first = tf.nest.map_structure(lambda a: tf.TensorSpec(a.shape[1:], a.dtype), stack)
                found = traced.get_concrete_function(first, values).structured_outputs
                specs = tf.nest.map_structure(lambda a: tf.TensorSpec(a.shape, a.dtype), found)
                return tf.map_fn(lambda b: traced(b, values), stack, fn_output_signature=specs)

            return tf.function(of_stack, autograph=False)

        key = ("example losses", likelihood, tuple(map(id, variables)), beside)
        self._of_stack = compiled(model, key, make)

    def at(self, values: Sequence[tf.Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """Losses in nats, `[examples]`, and the second quantity, `[examples, ...]`.

        Raises:
            ValueError: A loss is not finite.
        """
        parts = list(self._parts(list(values)))
        losses, others = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        if not np.all(np.isfinite(losses)):
            raise ValueError(
                "Losses of examples must be finite; look for NaN in the data, labels outside the "
                "classes, or overflow at weights that were drawn or moved. "
                f"Received: {int(np.sum(~np.isfinite(losses)))} losses that are not finite"
            )
        return losses, others

    def _parts(self, values: list[tf.Tensor]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Losses and the second quantity of the examples of each stack of batches."""
        for stack in self._batches.stacks():
            # One traced function for stacks of any height.
            any_height = tf.nest.map_structure(
                lambda a: tf.TensorSpec([None, *a.shape[1:]], a.dtype), stack
            )
            of_stack = self._of_stack.get_concrete_function(any_height, values)
            count = int(np.sum(stack.weights))
            with full_products():
                found = of_stack(stack, values)
            # The number of rows is explicit, because the second quantity may be empty.
            losses, others = (
                a.numpy().reshape(a.shape[0] * a.shape[1], *a.shape[2:]) for a in found
            )
            yield losses[:count], others[:count]
