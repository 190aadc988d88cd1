"""Walks through a model's layers, also those that sit in other layers.

Keras has no public walk that reaches the layers of nested models and of custom layers, and no
public word on how often a layer was called. The private names used here were seen in Keras 3.15.
"""

from __future__ import annotations

from typing import Any, TypeVar

import keras

__all__ = [
    "all_layers",
    "inner_layers",
    "is_rematerialised",
    "layers_in_order",
    "layers_of_kind",
    "maker_of",
    "mask_of",
    "nodes_of",
    "num_calls",
    "own_losses",
    "own_metrics",
    "own_weights",
    "takes_training",
]

L = TypeVar("L")


def all_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layer itself and every layer inside it, each once."""
    return list(layer._flatten_layers())


def layers_in_order(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The same layers as `all_layers`, in the order of `layer.weights`.

    Keras' own walk goes backwards through the layers of a layer that sits in another.
    """
    found: dict[int, keras.layers.Layer] = {}
    left = [layer]
    while left:
        each = left.pop()
        if id(each) not in found:
            found[id(each)] = each
            left.extend(reversed(each._layers))
    return list(found.values())


def inner_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Every layer inside a layer or model, each once."""
    return list(layer._flatten_layers(include_self=False))


def layers_of_kind(layer: keras.layers.Layer, kind: type[L]) -> list[L]:
    """Every layer of a class, the layer itself and those inside it, each once."""
    return [each for each in all_layers(layer) if isinstance(each, kind)]


def num_calls(layer: keras.layers.Layer) -> int:
    """How often the layer was called in graphs of symbolic tensors."""
    return len(layer._inbound_nodes)


def mask_of(tensor: Any) -> Any:
    """The mask that Keras keeps with a tensor, None without."""
    return getattr(tensor, "_keras_mask", None)


def maker_of(tensor: Any) -> keras.Operation:
    """The layer or operation whose output a symbolic tensor is.

    Raises:
        AttributeError: a tensor that is no output of a Keras graph.
    """
    return tensor._keras_history.operation


def nodes_of(graph: keras.Function) -> list[Any]:
    """Every call of an operation in a graph, with its `operation` and `input_tensors`."""
    return [node for nodes in graph._nodes_by_depth.values() for node in nodes]


def own_weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """The weights that a layer made itself for training, frozen or not, without inner layers'."""
    return list(layer._trainable_variables)


def own_metrics(layer: keras.layers.Layer) -> list[Any]:
    """The metrics that a layer made itself."""
    return list(layer._metrics)


def own_losses(layer: keras.layers.Layer) -> list[Any]:
    """The losses that a layer itself has added in the forward pass that runs."""
    return layer._get_own_losses()


def is_rematerialised(layer: keras.layers.Layer) -> bool:
    """Whether Keras runs the layer again for its gradient."""
    return layer._remat_mode is not None


def takes_training(layer: keras.layers.Layer) -> bool:
    """Whether the layer's `call` has the argument `training`."""
    return layer._call_has_training_arg
