"""Draws of the weights from their posterior, and outputs with other values of the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.layers.noisy_layer import drawing, noisy_layers, resting
from keras_infobottleneck.layers.variational_weights import VariationalWeights

__all__ = ["PosteriorDraws", "has_posterior", "outputs_at"]


def has_posterior(model: keras.Model) -> bool:
    """Whether some weights of the model have noise."""
    return bool(noisy_layers(model, "weights"))


class PosteriorDraws:
    """Draws of all weights that have a distribution, each of which is used for all examples.

    Args:
        model: A built model with `VariationalWeights`.

    Raises:
        ValueError: A layer is not built, or has noise on its weights that is not drawn by
            `VariationalWeights`.
    """

    def __init__(self, model: keras.Model):
        layers = noisy_layers(model, "weights")
        for layer in layers:
            if not isinstance(layer, VariationalWeights) or not layer.built:
                raise ValueError(
                    "`model` must draw its weights by `VariationalWeights`, and be built. "
                    f"Received: layer={layer.name!r}, a {type(layer).__name__}"
                )
        self.variables = [weight for layer in layers for weight in layer.variational_weights]

        def make(model_of: Callable[[], keras.Model]) -> Any:
            def draw(seed: tf.Tensor) -> list[tf.Tensor]:
                with drawing(seed, activations=False):
                    return [
                        value
                        for layer in noisy_layers(model_of(), "weights")
                        for value in layer.draw_weights()
                    ]

            return tf.function(draw, autograph=False)

        self._draw = compiled(model, "posterior draws", make)

    def values(self, seed: int, number: int) -> list[tf.Tensor]:
        """The weights of draw `number`, in the order of `variables`."""
        key = tf.random.experimental.stateless_fold_in(tf.constant([0, seed % 2**31]), number)
        return self._draw(tf.cast(key, tf.int32))


def outputs_at(
    model: keras.Model,
    x: Any,
    variables: Sequence[keras.Variable],
    values: Sequence[tf.Tensor],
) -> Any:
    """The model's outputs in inference mode with other values of some variables.

    Nothing is drawn, priced or assigned.
    """
    pairs = list(zip(variables, values, strict=True))
    with keras.StatelessScope(pairs), resting():
        return model(x, training=False)
