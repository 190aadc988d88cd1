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
    "layers_in_order",
    "layers_of_kind",
    "maker_of",
    "mask_of",
    "num_calls",
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
