"""Data as Boltzmann machines take them: visible units in [0, 1], without labels."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.predicting import predict

__all__ = ["hidden_probabilities", "training_data", "visible_units"]


def training_data(machine: keras.Model, data: Any, name: str = "x") -> Any:
    """The data, an array as one, after a look at the values; the machine is built for them.

    A dataset is looked at in its first batch, which is made once more for it; it may be endless.

    Raises:
        TypeError: data of another kind.
        ValueError: other than `[num_examples, visible]` for the machine, or outside [0, 1].
    """
    batches = _batches(machine, data, name=name, may_be_endless=True)
    visible, _ = batches.first_batch()
    values = np.asarray(visible)
    if not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(
            f"`{name}` must hold visible units in [0, 1]. "
            f"Received: values from {values.min()} to {values.max()}"
        )
    return data if batches.is_dataset else visible


def visible_units(machine: keras.Model, visible: Any) -> Any:
    """An array of visible units, checked; a tensor of a graph as it is."""
    if not tf.executing_eagerly():
        return visible
    return _batches(machine, visible, name="visible").first_batch()[0]


def hidden_probabilities(machine: keras.Model, x: Any, batch_size: int) -> np.ndarray:
    """Probabilities of the hidden units, `[num_examples, units]`; `batch_size` is for arrays."""
    batches = _batches(machine, x, default_batch_size=batch_size)
    return predict(machine, batches, batch_size=None if batches.is_dataset else batches.size)


def _batches(machine: keras.Model, data: Any, **options: Any) -> Batches:
    """The reader; a tuple of arrays is no pair of inputs and labels."""
    is_dataset = isinstance(data, tf.data.Dataset | keras.utils.PyDataset)
    data = data if is_dataset else (data,)
    return batches_for(machine, data, needs_labels=False, **{"name": "x", **options})
