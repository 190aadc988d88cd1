"""Copies of models: without the loss they were compiled with, with what they were adapted to."""

import inspect
import tempfile
from collections.abc import Callable
from typing import Any

import keras

from keras_infobottleneck.introspection.contents import all_layers, layers_of_kind
from keras_infobottleneck.introspection.replaced_calls import with_attributes

__all__ = [
    "check_copyable",
    "draws_unasked",
    "fresh_copy",
    "hand_on_adapted",
    "uncompiled",
    "uncompiled_clone",
]

LOOKUPS = (
    keras.layers.IntegerLookup,
    keras.layers.StringLookup,
    keras.layers.TextVectorization,
)


def check_copyable(model: keras.Model) -> None:
    """Refuses a `Lambda` whose function Keras does not find again.

    Keras makes a layer anew from its configuration, and for a Python lambda it speaks of files and
    of their dangers where there is no file.

    Raises:
        ValueError: with the name of the layer.
    """
    for layer in layers_of_kind(model, keras.layers.Lambda):
        try:
            keras.layers.Lambda.from_config(layer.get_config())
        except Exception as error:
            raise ValueError(
                "A `Lambda` can be copied only where its function has a name and is registered "
                "with `keras.saving.register_keras_serializable`; do so, or write a layer class. "
                f"Received: a Lambda layer named {layer.name!r}"
            ) from error


def uncompiled_clone(
    model: keras.Model,
    clone_function: Callable[[keras.layers.Layer], keras.layers.Layer] | None = None,
    call_function: Callable | None = None,
) -> keras.Model:
    """Clone of a model, as of `keras.models.clone_model` with models inside, never compiled.

    Keras compiles the clone of a compiled model, and fails where the loss or a metric is a function
    of the user's own that is not registered. A layer that sits in several of the models is one
    layer in the clone too.

    Args:
        model: a sequential or functional model.
        clone_function: gives the copy of a layer that is no such model; by default `fresh_copy`.
        call_function: calls a copy, given first, with the arguments of a call in a graph.
    """
    copies = {}

    def copy_of(layer: keras.layers.Layer) -> keras.layers.Layer:
        if id(layer) not in copies:
            if isinstance(layer, keras.Sequential | keras.Function):
                copies[id(layer)] = clone(layer)
            else:
                copies[id(layer)] = (clone_function or fresh_copy)(layer)
        return copies[id(layer)]

    def clone(part: keras.Model) -> keras.Model:
        calls = None if isinstance(part, keras.Sequential) else call_function
        part = with_attributes(part, compiled=False)
        return keras.models.clone_model(part, clone_function=copy_of, call_function=calls)

    return clone(model)


def fresh_copy(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A layer of the same configuration; models that it holds are not compiled."""
    return type(layer).from_config(uncompiled(layer.get_config()))


def uncompiled(config: Any) -> Any:
    """A configuration in which no model says how it was compiled."""
    if isinstance(config, dict):
        return {key: uncompiled(v) for key, v in config.items() if key != "compile_config"}
    if isinstance(config, list | tuple):
        return type(config)(map(uncompiled, config))
    return config


def draws_unasked(layer: keras.layers.Layer) -> bool:
    """Whether a layer takes an open `training` for True, as Keras' layers of augmentation do."""
    parameter = inspect.signature(layer.call).parameters.get("training")
    return parameter is not None and parameter.default is True


def hand_on_adapted(model: keras.Model, copy: keras.Model) -> None:
    """Give a copy what the preprocessing layers of a model have adapted to.

    `set_weights` does not: normalisation goes by constants that it makes of its weights when it is
    adapted or loaded, and a vocabulary is no weight. By the methods with which Keras saves them.
    """
    kinds = (keras.layers.Normalization, *LOOKUPS)
    adapted = [[x for x in all_layers(m) if isinstance(x, kinds)] for m in (model, copy)]
    for layer, twin in zip(*adapted, strict=True):
        store: dict[str, Any] = {}
        layer.save_own_variables(store)
        twin.load_own_variables(store)
        if isinstance(layer, LOOKUPS):
            with tempfile.TemporaryDirectory() as folder:
                layer.save_assets(folder)
                twin.load_assets(folder)
