"""Builds a model anew from its configuration, with some of its layers replaced."""

import inspect
from collections.abc import Callable
from typing import Any

import keras

from keras_infobottleneck.arguments import check_model
from keras_infobottleneck.introspection.cloning import (
    check_copyable,
    fresh_copy,
    hand_on_adapted,
    uncompiled,
    uncompiled_clone,
)
from keras_infobottleneck.introspection.contents import all_layers
from keras_infobottleneck.models.bottleneck import InformationBottleneckModel
from keras_infobottleneck.models.network_holder import has_graph

__all__ = ["rebuildable_network", "rebuilt", "rewritten"]


# Returns the configuration of the layer that replaces a layer, or None if it stays.
Rule = Callable[[dict[str, Any]], dict[str, Any] | None]


def rebuildable_network(model: keras.Model) -> keras.Model:
    """The network of a model, after checking that its layers can be replaced."""
    check_model("model", model)
    network = model.network if isinstance(model, InformationBottleneckModel) else model
    if not has_graph(network):
        raise TypeError(
            "`model` must be a sequential or functional model: the layers of a subclassed model "
            f"cannot be replaced from outside. Received: model={network!r}"
        )
    if not network.built:
        raise ValueError(f"`model` must be built. Received: model={network.name!r}, not built")
    check_copyable(network)
    return network


def rebuilt(network: keras.Model, rule: Rule) -> keras.Model:
    """A new model of the same structure, in which `rule` has replaced layers.

    A layer that several models share is one layer in the new model too. A replaced layer is called
    with those arguments that it accepts.
    """
    # Custom classes need not be registered to be copied within one process.
    classes = {type(layer) for layer in all_layers(network)}
    own = {c.__name__: c for c in classes if not c.__module__.startswith("keras.")}

    def copy_of(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):  # such as the sum of a skip connection
            return fresh_copy(layer)
        entry = rewritten(keras.saving.serialize_keras_object(layer), rule)
        return keras.saving.deserialize_keras_object(uncompiled(entry))

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        known = inspect.signature(layer.call).parameters.values()
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known):
            names = {parameter.name for parameter in known}
            kwargs = {name: value for name, value in kwargs.items() if name in names}
        return layer(*args, **kwargs)

    with keras.saving.custom_object_scope(own):
        rebuilt = uncompiled_clone(network, copy_of, call)
    if not rebuilt.built:
        rebuilt.build(network.input_shape)
    hand_on_adapted(network, rebuilt)
    return rebuilt


def rewritten(config: Any, rule: Rule) -> Any:
    """A configuration in which `rule` has replaced entries (those that it returns one for)."""
    if isinstance(config, dict):
        replacement = rule(config) if "class_name" in config else None
        if replacement is not None:
            return replacement
        return {key: rewritten(value, rule) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(rewritten(value, rule) for value in config)
    return config
