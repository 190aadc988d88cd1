"""The inputs of a model as one array, for derivatives along them, and their covariance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.introspection.compiled_passes import compiled

__all__ = [
    "covariance_root",
    "side_by_side",
    "with_one_input",
]


def with_one_input(model: keras.Model) -> keras.Model:
    """A model with a single input array: itself, or one that takes several inputs side by side.

    Raises:
        ValueError: There are several inputs, one of which has no known size.
    """
    if len(model.inputs) == 1:
        return model
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if any(None in shape for shape in shapes):
        raise ValueError(
            "Of several inputs each must have a known size. "
            f"Received: inputs of shape {[tuple(t.shape) for t in model.inputs]}"
        )

    def make(model_of: Callable[[], keras.Model]) -> keras.Model:
        several = model_of()
        sizes = [math.prod(shape) for shape in shapes]
        flat = keras.Input((sum(sizes),), dtype=several.inputs[0].dtype)
        parts = keras.ops.split(flat, np.cumsum(sizes)[:-1].tolist(), axis=1)
        parts = [
            keras.ops.cast(keras.ops.reshape(part, (-1, *shape)), tensor.dtype)
            for part, shape, tensor in zip(parts, shapes, several.inputs, strict=True)
        ]
        outputs = several(keras.tree.pack_sequence_as(several.input, parts))
        return keras.Model(flat, outputs, name=several.name)

    return compiled(model, "one input", make)


def side_by_side(leaves: Sequence[tf.Tensor]) -> np.ndarray:
    """Inputs as one array: one unchanged, several side by side as `[examples, entries]`."""
    if len(leaves) == 1:
        return leaves[0].numpy()
    rows = [tf.reshape(tf.cast(leaf, leaves[0].dtype), [len(leaf), -1]) for leaf in leaves]
    return tf.concat(rows, 1).numpy()


def covariance_root(inputs: np.ndarray) -> np.ndarray:
    """A root C of the covariance of the inputs, `C C^T`, `[inputs, at most examples]`.

    Raises:
        ValueError: There is only one example.
    """
    if len(inputs) < 2:
        raise ValueError(
            "`x` must hold at least two examples, because their covariance is needed. "
            f"Received: {len(inputs)} example"
        )
    flat = inputs.reshape(len(inputs), -1).astype(np.float64)
    centred = (flat - flat.mean(0)) / np.sqrt(len(flat))
    if len(flat) <= flat.shape[1]:
        return centred.T
    values, vectors = np.linalg.eigh(centred.T @ centred)
    return vectors * np.sqrt(np.maximum(values, 0.0))
