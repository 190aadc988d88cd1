"""A model built anew with some of its layers replaced, by way of its configuration."""

import keras

from keras_infobottleneck.introspection.cloning import check_copyable, hand_on_adapted
from keras_infobottleneck.models.bottleneck import InformationBottleneckModel
from keras_infobottleneck.models.network_holder import has_graph

__all__ = ["layers_of", "rebuildable_network", "rebuilt", "rewritten"]


def rebuildable_network(model):
    """The network of a model, if it is one whose layers can be replaced."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a Keras model. Received: model={model!r}")
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


def rebuilt(network, rule):
    """A new model of the same structure, in which `rule` has replaced layers."""
    # Classes of one's own need not be registered to be copied within a process.
    classes = {type(layer) for layer in network._flatten_layers()}
    own = {c.__name__: c for c in classes if not c.__module__.startswith("keras.")}
    with keras.saving.custom_object_scope(own):
        rebuilt = type(network).from_config(rewritten(network.get_config(), rule))
    if not rebuilt.built:
        rebuilt.build(network.input_shape)
    hand_on_adapted(network, rebuilt)
    return rebuilt


def rewritten(config, rule):
    """A model's configuration in which `rule` has replaced the entries it has an answer for."""
    if isinstance(config, dict):
        replacement = rule(config) if "class_name" in config else None
        if replacement is not None:
            return replacement
        return {key: rewritten(value, rule) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(rewritten(value, rule) for value in config)
    return config


def layers_of(network, kind):
    """Every layer of a kind, wherever it sits, each once."""
    return [layer for layer in network._flatten_layers() if isinstance(layer, kind)]
