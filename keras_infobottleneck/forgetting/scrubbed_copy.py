"""A copy of a network whose weights are replaced without leaving traces in other state."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_infobottleneck.arguments import check_model
from keras_infobottleneck.introspection.cloning import (
    check_copyable,
    hand_on_adapted,
    uncompiled_clone,
)
from keras_infobottleneck.introspection.contents import layers_of_kind
from keras_infobottleneck.linear_algebra.layout import Layout
from keras_infobottleneck.models.recalibration import recalibrate_batch_normalization

__all__ = ["ScrubbedCopy", "check_forgettable"]


def check_forgettable(model: Any) -> None:
    """Refuses models that cannot be copied.

    Raises:
        TypeError: The model is not sequential or functional.
        ValueError: Keras cannot rebuild one of the layers.
    """
    check_model("model", model)
    if not isinstance(model, keras.Sequential | keras.Function):
        raise TypeError(
            "`model` must be a sequential or functional model, of which a copy can be made. "
            f"Received: model={model.name!r}, a {type(model).__name__}"
        )
    check_copyable(model)


class ScrubbedCopy:
    """Copy of a model with its loss and a fresh optimizer, since old moments contain old gradients.

    Args:
        model: A sequential or functional model.
        variables: Its weights that will be replaced.
        retain: Data on which batch normalisation is recomputed, because it depends on its old data
            too.
        batch_size: Batch size, for arrays.
    """

    def __init__(
        self,
        model: keras.Model,
        variables: list[keras.Variable],
        retain: Any,
        batch_size: int | None,
    ):
        self.network = uncompiled_clone(model)
        self.network.set_weights(model.get_weights())
        hand_on_adapted(model, self.network)
        numbers = {id(weight): number for number, weight in enumerate(model.weights)}
        self.variables = [self.network.weights[numbers[id(v)]] for v in variables]
        self._retain, self._batch_size = retain, batch_size
        if model.compiled:
            optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
            self.network.compile(optimizer, loss=model.loss)

    def move_to(self, flat: np.ndarray, layout: Layout) -> None:
        """Assigns the weights, `[weights]`, and recomputes statistics of batch normalisation."""
        for variable, value in zip(self.variables, layout.split(flat), strict=True):
            variable.assign(value)
        layers = layers_of_kind(self.network, keras.layers.BatchNormalization)
        if any(layer.trainable for layer in layers):
            recalibrate_batch_normalization(self.network, self._retain, batch_size=self._batch_size)
