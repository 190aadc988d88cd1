"""Class labels: integers, or one-hot rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["class_labels"]


def class_labels(y: Any, num_classes: int) -> np.ndarray:
    """Classes ``[examples]``, int64, of labels ``[examples]``, ``[examples, 1]`` or one-hot rows.

    Raises:
        ValueError: There are several arrays, or the labels are not classes.
    """
    if tf.nest.is_nested(y):
        raise ValueError(f"The labels must be one array. Received: y={type(y).__name__}")
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[-1] == num_classes > 1:
        valid = np.all((y == 0) | (y == 1)) and np.all(y.sum(-1) == 1)
        labels = y.argmax(-1)
    else:
        valid = y.size == len(y) and np.all((y >= 0) & (y < num_classes) & (y == np.floor(y)))
        labels = y.reshape(-1)
    if not valid:
        raise ValueError(
            f"The labels must be classes from 0 to {num_classes - 1}, or one-hot rows. "
            f"Received: shape={y.shape}, values from {y.min()} to {y.max()}"
        )
    return labels.astype(np.int64)
