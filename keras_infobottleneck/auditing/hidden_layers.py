"""The layers that a report is about, and what they hand on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.auditing.noisy_layers import weights_of_predictions
from keras_infobottleneck.auditing.omission import Omission
from keras_infobottleneck.auditing.sample import Sample
from keras_infobottleneck.estimators.activations import activations_model, with_graph
from keras_infobottleneck.estimators.batches import Batches

__all__ = ["HiddenLayer", "activations_of", "find_layers"]

# In inference mode they hand on what they got.
HANDING_ON = (
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.Masking,
    keras.layers.Permute,
    keras.layers.Reshape,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)


@dataclasses.dataclass(frozen=True)
class HiddenLayer:
    """A layer whose activations can be had.

    Attributes:
        name: in the model.
        num_units: activations of an example.
        num_weights: trainable ones on which they depend.
        is_output: whether they are the output, whose states are measured only where it is named.
    """

    name: str
    num_units: int
    num_weights: int
    is_output: bool


def find_layers(
    model: keras.Model, names: Sequence[str] | None
) -> tuple[list[HiddenLayer], list[Omission]]:
    """Layers whose activations can be had, and those left out.

    Raises:
        ValueError: a name that is not one of the model's layers.
    """
    known = [layer.name for layer in model.layers]
    if names is not None and not _are_known(names, known):
        raise ValueError(
            f"`layers` must be a sequence of names of the model's layers, {known}, each once. "
            f"Received: layers={names!r}"
        )
    try:
        outputs = {id(tensor) for tensor in keras.tree.flatten(model.outputs)}
    except (AttributeError, ValueError):
        outputs = set()  # a subclassed model does not tell which layer is its last
    found, omitted = [], []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer) or (names and layer.name not in names):
            continue
        if names is None and isinstance(layer, HANDING_ON):
            reason = "hands on the activations of the layer before it"
            omitted.append(Omission("layers", layer.name, reason))
            continue
        try:
            activations = with_graph(activations_model(model, layer))
        except ValueError:
            reason = (
                "its activations cannot be had: it is not called just once in the forward pass, "
                "or the model has no graph and was not called on one array"
            )
            omitted.append(Omission("layers", layer.name, reason))
            continue
        tensors = keras.tree.flatten(activations.output)
        if len(tensors) > 1 or None in tensors[0].shape[1:] or "float" not in tensors[0].dtype:
            reason = "has no single output of floats and known size"
            omitted.append(Omission("layers", layer.name, reason))
            continue
        found.append(
            HiddenLayer(
                name=layer.name,
                num_units=math.prod(tensors[0].shape[1:]),
                num_weights=sum(math.prod(v.shape) for v in weights_of_predictions(activations)),
                is_output=names is None and id(tensors[0]) in outputs,
            )
        )
    return found, omitted


def _are_known(names: Any, known: list[str]) -> bool:
    """Whether names are some of the known, each once."""
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        return False
    return all(name in known for name in names) and len(set(names)) == len(names)


def activations_of(model: keras.Model, layer: str, sample: Sample) -> np.ndarray:
    """Activations, `[examples, units]` float32, in inference mode.

    Raises:
        ValueError: activations that are not finite.
    """
    cut = activations_model(model, layer)
    parts = []
    for batch in Batches(sample.x, needs_labels=False):
        rows = int(np.sum(batch.weights))
        values = keras.ops.convert_to_numpy(keras.ops.cast(cut(batch.x), "float32"))
        parts.append(values[:rows].reshape(rows, -1))
    z = np.concatenate(parts)
    if not np.all(np.isfinite(z)):
        raise ValueError("The activations must be finite. Received: NaN or infinite values")
    return z
