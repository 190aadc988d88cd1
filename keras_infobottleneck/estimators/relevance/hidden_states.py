"""The discrete states of a layer: its activations cut at one or more thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import (
    check_model,
    check_numbers,
    check_verbose,
    described,
)
from keras_infobottleneck.introspection.activations import activations_model
from keras_infobottleneck.introspection.compiled_maps import CompiledMap
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.replicas import on_replicas

__all__ = ["hidden_states"]

BATCH_SIZE = 256


@on_replicas
def hidden_states(
    model: keras.Model,
    data: Any,
    layer: str | int | keras.layers.Layer,
    *,
    threshold: float | Sequence[float] = 0.0,
    batch_size: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
    verbose: int = 0,
) -> np.ndarray:
    """States of a layer for each example: which units exceed the threshold, in inference mode.

    Exact. Cost: one pass over the data; memory of one byte per unit and example.

    Args:
        model: any Keras model whose forward pass calls the layer once; the layer may be part of
            another layer or of a nested model.
        data: inputs `[num_examples, ...]`, of several inputs a list `[x1, x2]` or a dictionary of
            arrays; `(inputs, labels)`; a `tf.data.Dataset` or a `keras.utils.PyDataset`.
        layer: a layer, its name or its index in `model.layers`. All axes but the first are
            flattened.
        threshold: one value, strictly exceeded, for binary states; increasing values for levels
            `0..len(threshold)`, the number of thresholds exceeded.
        batch_size: examples per batch, for arrays; 256 by default.
        strategy: on whose replicas it runs; by default those of the scope it is called in.
        verbose: 1 for a progress bar.

    Returns:
        bool `[num_examples, units]`, or uint8 for several thresholds.

    Raises:
        TypeError: for a model or a layer of another type.
        ValueError: for an unknown layer, one that has several outputs, is not called, or is called
            several times or in a loop, wrong thresholds, data that the model does not take, none
            or without an end, or activations that are NaN.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden")])
        states = kib.estimators.hidden_states(model, np.ones((10, 4), "float32"), "hidden")
        print(states.shape, states.dtype)
        ```

        ```text
        (10, 3) bool
        ```
    """
    check_model("model", model)
    check_verbose("verbose", verbose)
    levels = check_numbers("threshold", threshold, increasing=True)
    if levels.ndim > 1 or not 1 <= levels.size <= 255:
        raise ValueError(
            "`threshold` must be one number, or one to 255 increasing ones. "
            f"Received: threshold={described(threshold)}"
        )
    is_binary = levels.ndim == 0
    thresholds = tuple(levels.reshape(-1).tolist())
    levels_of = _compiled(activations_model(model, layer), thresholds)
    options: dict[str, Any] = {"needs_labels": False, "default_batch_size": BATCH_SIZE}
    batches = batches_for(model, data, batch_size, **options)
    progress = keras.utils.Progbar(batches.num_batches, verbose=verbose)
    states = []
    inputs = (inputs for inputs, _ in batches.parts(1))
    for levels, has_nan in levels_of.over(inputs):
        if has_nan:
            raise ValueError("Activations must not be NaN. Received: NaN in a batch of activations")
        states.append(levels.numpy())
        progress.add(1)
    states = np.concatenate(states)
    return states.astype(bool) if is_binary else states


def _compiled(activations_of, thresholds):
    """Compiled map from inputs to levels, kept for the next call."""

    def make(model_of):
        def levels_of(inputs):
            activations = model_of()(inputs, training=False)
            if not tf.is_tensor(activations):
                raise ValueError(
                    "The layer must have one output. "
                    f"Received: {len(keras.tree.flatten(activations))} outputs"
                )
            activations = tf.reshape(activations, [tf.shape(activations)[0], -1])
            exceeded = [activations > tf.cast(value, activations.dtype) for value in thresholds]
            levels = tf.add_n([tf.cast(each, tf.int32) for each in exceeded])
            has_nan = tf.reduce_any(tf.math.is_nan(tf.cast(activations, tf.float32)))
            return tf.cast(levels, tf.uint8), has_nan

        return CompiledMap(levels_of)

    return compiled(activations_of, ("levels", thresholds), make)
