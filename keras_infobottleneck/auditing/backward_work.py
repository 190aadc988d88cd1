"""How much a backward pass from a layer has to compute, told from the shapes of the network."""

from __future__ import annotations

import math
from typing import Any

import keras

from keras_infobottleneck.introspection.contents import all_layers, inner_layers, own_weights

__all__ = ["backward_work"]

# A product in a convolution takes this share of the time that an entry of a Jacobian takes, which
# is copied in float64; one in a loop over time steps takes as long as an entry.
SHARE_OF_PRODUCT = 0.12
RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)
# Their weights are looked up, or scale what is there: no products to speak of.
WITHOUT_PRODUCTS = (
    keras.layers.Embedding,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)


def backward_work(activations: keras.Model) -> float:
    """Work of one backward pass for one example, in entries of a Jacobian by the weights.

    A kernel counts once for every place or time step at which it is used. Places are those of the
    layer's input or output, whichever has more; a layer whose shapes are not known counts once.

    Args:
        activations: from the inputs to the layer.
    """
    work = 0.0
    found = all_layers(activations)
    inside = {
        id(part) for each in found if isinstance(each, RECURRENT) for part in inner_layers(each)
    }
    for layer in found:
        if (
            layer is activations
            or id(layer) in inside
            or isinstance(layer, (keras.Model, *WITHOUT_PRODUCTS))
        ):
            continue
        recurrent = isinstance(layer, RECURRENT)
        weights = layer.weights if recurrent else own_weights(layer)
        kernels = sum(math.prod(v.shape) for v in weights if len(v.shape) > 1)
        if kernels:
            places = max(_places(layer, "input"), _places(layer, "output"))
            work += kernels * places * (1.0 if recurrent else SHARE_OF_PRODUCT)
    return work


def _places(layer: keras.layers.Layer, end: str) -> int:
    """Places or time steps of a layer's inputs or outputs, 1 where they are not known."""
    try:
        tensors: list[Any] = keras.tree.flatten(getattr(layer, end))
    except (AttributeError, ValueError):  # inside another layer, or called more than once
        return 1
    first = getattr(layer, "data_format", None) == "channels_first"
    places = [shape[2:] if first else shape[1:-1] for shape in (t.shape for t in tensors)]
    return max((math.prod(each) for each in places if None not in each), default=1)
