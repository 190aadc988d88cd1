"""Data for visible units: checks of their range, and the log-odds of each unit."""

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
    """The data (arrays as NumPy), and the values of all of them or of a dataset's first batch.

    The machine is built for them. For this, the first batch of a dataset is read once more; the
    dataset may be endless.

    Raises:
        TypeError: The data are of another kind.
        ValueError: They are not `[num_examples, visible]` for this machine, or outside [0, 1].
    """
    batches = _batches(machine, data, name=name, may_be_endless=True)
    values = _in_range(batches.first_batch()[0], name)
    return (data if batches.is_dataset else values), values


def hidden_probabilities(machine: keras.Model, x: Any, batch_size: int) -> np.ndarray:
    """Probabilities of the hidden units, `[num_examples, units]`; `batch_size` is for arrays.

    Raises:
        TypeError, ValueError: As in `training_data`, or the data are endless.
    """
    batches = _batches(machine, x, default_batch_size=batch_size)
    _in_range(batches.first_batch()[0], "x")
    return predict(machine, batches, batch_size=None if batches.is_dataset else batches.size)


def log_odds(visible: np.ndarray) -> np.ndarray:
    """``log(p / (1 - p))`` with p the fraction of examples in which each unit is on, float64.

    One example with the unit on and one with it off are added, so that the result is finite.
    """
    on = np.sum(visible, 0, dtype=np.float64) + 1.0
    return np.log(on) - np.log(len(visible) + 2.0 - on)


def _batches(machine: keras.Model, data: Any, **options: Any) -> Batches:
    """The reader of data without labels; a tuple of arrays is not read as `(x, y)`."""
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
