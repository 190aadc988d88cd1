"""The data that visible units stand for: in which range it lies, and how often a unit is on."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

__all__ = ["log_odds", "visible_units"]


def visible_units(x) -> np.ndarray | None:
    """The array that `fit` was given, of a dataset its first batch; None where Keras refuses it.

    Raises:
        TypeError: sparse data.
        ValueError: values outside [0, 1].
    """
    if isinstance(x, tf.data.Dataset):
        x = next(iter(x.take(1)), ())
    elif isinstance(x, keras.utils.PyDataset):
        x = x[0]
    visible = x[0] if isinstance(x, tuple) and x else x
    if isinstance(visible, tf.SparseTensor) or type(visible).__module__.startswith("scipy.sparse"):
        raise TypeError(
            "Visible units must be a dense array, such as `x.toarray()` or `tf.sparse.to_dense(x)` "
            f"gives. Received: {type(visible).__name__} of shape {tuple(visible.shape)}"
        )
    if not isinstance(visible, np.ndarray | tf.Tensor):
        return None
    visible = np.asarray(visible)
    if visible.size and not (visible.min() >= 0 and visible.max() <= 1):
        raise ValueError(
            "Visible units must lie in [0, 1]. "
            f"Received: values from {visible.min()} to {visible.max()}"
        )
    return visible


def log_odds(visible: np.ndarray) -> np.ndarray:
    """``log(p / (1 - p))`` of the share p of examples in which each unit is on, float64.

    One example more of each kind keeps it finite where a unit is always on or always off.
    """
    on = np.sum(visible, 0, dtype=np.float64) + 1.0
    return np.log(on) - np.log(len(visible) + 2.0 - on)
