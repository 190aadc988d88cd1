"""A model that ends at one of another model's layers."""

from __future__ import annotations

from collections.abc import Callable

import keras

from keras_infobottleneck.estimators.passes import compiled

__all__ = ["activations_model"]


def activations_model(model: keras.Model, layer: str | int | keras.layers.Layer) -> keras.Model:
    """From the model's inputs to the layer's output; made once, kept while the model lives.

    Raises:
        TypeError: a model or a layer of another type.
        ValueError: an unknown layer, or a model without a graph.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a `keras.Model`. Received: model={model!r}")
    found = _find_layer(model, layer)

    def make(model_of: Callable[[], keras.Model]) -> keras.Model:
        try:
            return keras.Model(model_of().inputs, found.output, name=found.name)
        except (AttributeError, ValueError) as error:
            raise ValueError(
                "`model` must be functional or sequential and built, with `layer` called once in "
                "its graph; the states of other models are made from their activations. "
                f"Received: model={model.name}, layer={found.name}"
            ) from error

    return compiled(model, ("activations", id(found)), make)


def _find_layer(model, layer):
    """Layer of the model that a name, an index or a layer means."""
    names = [each.name for each in model.layers]
    if isinstance(layer, str):
        if layer in names:
            return model.get_layer(layer)
    elif isinstance(layer, int) and not isinstance(layer, bool):
        if -len(names) <= layer < len(names):
            return model.layers[layer]
    elif isinstance(layer, keras.layers.Layer):
        if any(layer is each for each in model.layers):
            return layer
    else:
        raise TypeError(f"`layer` must be a name, an index or a layer. Received: layer={layer!r}")
    raise ValueError(f"`layer` must be one of the model's layers {names}. Received: layer={layer}")
