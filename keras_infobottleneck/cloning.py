"""Copies of models, without the loss that they were compiled with."""

import keras

__all__ = ["uncompiled_clone"]


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
