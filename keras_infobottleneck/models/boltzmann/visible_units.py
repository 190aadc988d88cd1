"""The data that visible units stand for: in which range they lie, and how often a unit is on."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.predicting import predict

__all__ = ["hidden_probabilities", "log_odds", "training_data"]


def training_data(machine: keras.Model, data: Any, name: str = "x") -> tuple[Any, np.ndarray]:
    """The data, an array as one, and the values of all or of a dataset's first batch.

    The machine is built for them. The first batch of a dataset is made once more for that; it may
    be endless.

    Raises:
        TypeError: data of another kind.
        ValueError: other than `[num_examples, visible]` for the machine, or outside [0, 1].
    """
    batches = _batches(machine, data, name=name, may_be_endless=True)
    values = _in_range(batches.first_batch()[0], name)
    return (data if batches.is_dataset else values), values


def hidden_probabilities(machine: keras.Model, x: Any, batch_size: int) -> np.ndarray:
    """Probabilities of the hidden units, `[num_examples, units]`; `batch_size` is for arrays.

    Raises:
        TypeError, ValueError: as of `training_data`, or data without an end.
    """
    batches = _batches(machine, x, default_batch_size=batch_size)
    _in_range(batches.first_batch()[0], "x")
    return predict(machine, batches, batch_size=None if batches.is_dataset else batches.size)


def log_odds(visible: np.ndarray) -> np.ndarray:
    """``log(p / (1 - p))`` of the share p of examples in which each unit is on, float64.

    One example more of each kind keeps it finite where a unit is always on or always off.
    """
    on = np.sum(visible, 0, dtype=np.float64) + 1.0
    return np.log(on) - np.log(len(visible) + 2.0 - on)


def _batches(machine: keras.Model, data: Any, **options: Any) -> Batches:
    """The reader; a tuple of arrays is no pair of inputs and labels."""
    is_dataset = isinstance(data, tf.data.Dataset | keras.utils.PyDataset)
    data = data if is_dataset else (data,)
    return batches_for(machine, data, needs_labels=False, **{"name": "x", **options})


def _in_range(visible: Any, name: str) -> np.ndarray:
    values = np.asarray(visible)
    if not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(
            f"`{name}` must hold visible units in [0, 1]. "
            f"Received: values from {values.min()} to {values.max()}"
        )
    return values
