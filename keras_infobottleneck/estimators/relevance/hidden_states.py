"""The discrete states of a layer: its activations cut at one or more thresholds."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

__all__ = ["hidden_states"]

# model -> {(layer name, thresholds): compiled function}, so that a second call does not retrace.
_COMPILED = weakref.WeakKeyDictionary()


def hidden_states(
    model: keras.Model,
    data,
    layer: str | int | keras.layers.Layer,
    *,
    threshold: float | Sequence[float] = 0.0,
    batch_size: int = 256,
    verbose: int = 0,
) -> np.ndarray:
    """States of a layer for each example: which units exceed the threshold, in inference mode.

    Exact. Cost: one pass over the data; memory of one byte per unit and example.

    Args:
        model: functional or sequential model.
        data: inputs `[num_examples, ...]`, `(inputs, labels)`, a `tf.data.Dataset` or a
            `keras.utils.PyDataset`.
        layer: a layer of the model, its name or its index. All axes but the first are flattened.
        threshold: one value, strictly exceeded, for binary states; increasing values for levels
            `0..len(threshold)`, the number of thresholds exceeded.
        batch_size: for array data.
        verbose: 1 for a progress bar.

    Returns:
        bool `[num_examples, units]`, or uint8 for several thresholds.

    Raises:
        TypeError: for a model or a layer of another type.
        ValueError: for an unknown layer, a model without graph, wrong thresholds, no data, or
            activations that are NaN.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a `keras.Model`. Received: model={model!r}")
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(
            f"`batch_size` must be a positive integer. Received: batch_size={batch_size!r}"
        )
    is_binary = np.ndim(threshold) == 0
    thresholds = tuple(np.atleast_1d(np.asarray(threshold, float)).tolist())
    is_increasing = np.all(np.isfinite(thresholds)) and np.all(np.diff(thresholds) > 0)
    if not 1 <= len(thresholds) <= 255 or not is_increasing:
        raise ValueError(
            f"`threshold` must be one to 255 increasing numbers. Received: threshold={threshold!r}"
        )
    levels_of = _compiled(model, _find_layer(model, layer), thresholds)
    batches = _input_batches(data, batch_size)
    progress = keras.utils.Progbar(None, verbose=verbose)
    states = []
    for batch in batches:
        levels, has_nan = levels_of(batch)
        if has_nan:
            raise ValueError("Activations must not be NaN. Received: NaN in a batch of activations")
        states.append(levels.numpy())
        progress.add(1)
    if not states:
        raise ValueError("`data` must hold at least one example. Received: no batches")
    states = np.concatenate(states)
    return states.astype(bool) if is_binary else states


def _find_layer(model, layer):
    """Layer of the model that a name, an index or a layer means."""
    names = [each.name for each in model.layers]
    if isinstance(layer, str):
        if layer in names:
            return model.get_layer(layer)
    elif isinstance(layer, int):
        if -len(names) <= layer < len(names):
            return model.layers[layer]
    elif isinstance(layer, keras.layers.Layer):
        if any(layer is each for each in model.layers):
            return layer
    else:
        raise TypeError(f"`layer` must be a name, an index or a layer. Received: layer={layer!r}")
    raise ValueError(f"`layer` must be one of the model's layers {names}. Received: layer={layer}")


def _compiled(model, layer, thresholds):
    """Compiled function from inputs to levels, kept for the next call."""
    functions = _COMPILED.setdefault(model, {})
    if (layer.name, thresholds) not in functions:
        try:
            activations_of = keras.Model(model.inputs, layer.output)
        except (AttributeError, ValueError) as error:
            raise ValueError(
                "`model` must be functional or sequential and built, with `layer` called once in "
                "its graph; the states of other models are made from their activations. "
                f"Received: model={model.name}, layer={layer.name}"
            ) from error

        @tf.function(reduce_retracing=True)
        def levels_of(inputs):
            activations = activations_of(inputs, training=False)
            activations = tf.reshape(activations, [tf.shape(activations)[0], -1])
            exceeded = [activations > tf.cast(value, activations.dtype) for value in thresholds]
            levels = tf.add_n([tf.cast(each, tf.int32) for each in exceeded])
            has_nan = tf.reduce_any(tf.math.is_nan(tf.cast(activations, tf.float32)))
            return tf.cast(levels, tf.uint8), has_nan

        functions[layer.name, thresholds] = levels_of
    return functions[layer.name, thresholds]


def _input_batches(data, batch_size):
    """Batches of inputs, without labels or weights."""
    if isinstance(data, keras.utils.PyDataset):
        batches = map(data.__getitem__, range(data.num_batches))
    elif isinstance(data, tf.data.Dataset):
        batches = data
    else:
        inputs = data[0] if isinstance(data, tuple) else data
        batches = tf.data.Dataset.from_tensor_slices(inputs).batch(batch_size)
    for batch in batches:
        yield batch[0] if isinstance(batch, tuple) else batch
