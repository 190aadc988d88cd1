"""Copies of models: not compiled, with the state that preprocessing layers were adapted to."""

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
    """Refuses a `Lambda` whose function Keras cannot find again.

    Keras makes copies of layers from their configuration; its own message for a Python lambda is
    about the dangers of loading files, where no file is loaded.

    Raises:
        ValueError: There is such a layer; the message has its name.
    """
    for layer in layers_of_kind(model, keras.layers.Lambda):
        try:
            keras.layers.Lambda.from_config(layer.get_config())
        except Exception as error:
            raise ValueError(
                "A `Lambda` can be copied only if its function has a name and is registered "
                "with `keras.saving.register_keras_serializable`; do so, or write a layer class. "
                f"Received: a Lambda layer named {layer.name!r}"
            ) from error


def uncompiled_clone(
    model: keras.Model,
    clone_function: Callable[[keras.layers.Layer], keras.layers.Layer] | None = None,
    call_function: Callable | None = None,
) -> keras.Model:
    """Clone of a model and of the models inside it, as by `keras.models.clone_model`, not compiled.

    Keras compiles the clone of a compiled model, and fails if the loss or a metric is a function
    of the user that is not registered. A layer that several of the models share is one layer in
    the clone too.

    Args:
        model: A sequential or functional model.
        clone_function: Returns the copy of a layer that is not such a model; by default
            `fresh_copy`.
        call_function: Calls a copy in a graph; receives the copy and the arguments of the call.
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
    """A new layer with the same configuration; models inside it are not compiled."""
    return type(layer).from_config(uncompiled(layer.get_config()))


def uncompiled(config: Any) -> Any:
    """The configuration without the entries that say how a model was compiled."""
    if isinstance(config, dict):
        return {key: uncompiled(v) for key, v in config.items() if key != "compile_config"}
    if isinstance(config, list | tuple):
        return type(config)(map(uncompiled, config))
    return config


def draws_unasked(layer: keras.layers.Layer) -> bool:
    """Whether a layer takes a missing `training` argument as True, as augmentation layers do."""
    parameter = inspect.signature(layer.call).parameters.get("training")
    return parameter is not None and parameter.default is True


def hand_on_adapted(model: keras.Model, copy: keras.Model) -> None:
    """Copies the state of adapted preprocessing layers from a model to its copy.

    `set_weights` does not copy it: `Normalization` computes with constants that it makes from its
    weights when it is adapted or loaded, and a vocabulary is not a weight. The methods by which
    Keras saves and loads this state are used instead.
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
