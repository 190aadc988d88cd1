"""Copies of models: without the loss they were compiled with, with what they were adapted to."""

import tempfile

import keras

from keras_infobottleneck.introspection.walking import layers_of_kind

__all__ = ["check_copyable", "hand_on_adapted", "uncompiled_clone"]

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


def uncompiled_clone(model: keras.Model, **options) -> keras.Model:
    """As `keras.models.clone_model`, but never compiled.

    Keras compiles the clone of a compiled model, and fails where the loss or a metric is a function
    of the user's own that is not registered.
    """
    parts = [part for part in model._flatten_layers() if isinstance(part, keras.Model)]
    compiled = [part for part in parts if part.compiled]
    try:
        for part in compiled:
            part.compiled = False
        return keras.models.clone_model(model, **options)
    finally:
        for part in compiled:
            part.compiled = True


def hand_on_adapted(model: keras.Model, copy: keras.Model) -> None:
    """Give a copy what the preprocessing layers of a model have adapted to.

    `set_weights` does not: normalisation goes by constants that it makes of its weights when it is
    adapted or loaded, and a vocabulary is no weight. By the methods with which Keras saves them.
    """
    kinds = (keras.layers.Normalization, *LOOKUPS)
    adapted = [[x for x in m._flatten_layers() if isinstance(x, kinds)] for m in (model, copy)]
    for layer, twin in zip(*adapted, strict=True):
        store = {}
        layer.save_own_variables(store)
        twin.load_own_variables(store)
        if isinstance(layer, LOOKUPS):
            with tempfile.TemporaryDirectory() as folder:
                layer.save_assets(folder)
                twin.load_assets(folder)
