"""Frequencies and entropy of the labels of a data set, if they are one class per example."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.introspection.compiled_losses import kind_of_labels
from keras_infobottleneck.models.bounded_crossentropy import BoundedCrossentropy

__all__ = ["class_frequencies", "entropy", "loss_in_nats"]


def class_frequencies(loss: Any, batches: Batches) -> np.ndarray | None:
    """Frequencies of the classes of the labels; None where an example has no one class.

    Args:
        loss: The one of the compiled model, None of several; it decides what a label means.
        batches: The training data, which are passed over once.
    """
    kind = _kind(loss)
    total: Any = 0.0
    for _, y in batches.parts():
        if tf.nest.is_nested(y) or kind is None:
            return None
        labels = np.asarray(y)
        if labels.ndim == 2 and labels.shape[-1] == 1:
            labels = labels[:, 0]
        counts = _counts(kind, labels)
        if counts is None:
            return None
        size = max(np.size(total), len(counts))
        total = _padded(total, size) + _padded(counts, size)
    return total / total.sum()


def loss_in_nats(loss: Any) -> bool:
    """Whether a loss is a cross-entropy in nats, so that guessing costs the labels' entropy.

    Not if its labels are smoothed, or it is divided by its largest value.
    """
    is_plain = not isinstance(loss, BoundedCrossentropy) and _kind(loss) is not None
    return is_plain and not getattr(loss, "label_smoothing", 0.0)


def entropy(frequencies: np.ndarray) -> float:
    """Entropy of a distribution, in nats."""
    present = frequencies[frequencies > 0]
    return float(-np.sum(present * np.log(present)))


def _kind(loss: Any) -> str | None:
    """Kind of the labels: "sparse" for class numbers, "rows" for one-hot rows, "bits"."""
    if isinstance(loss, BoundedCrossentropy):
        return "sparse"
    return kind_of_labels(loss)


def _counts(kind: str, labels: np.ndarray) -> np.ndarray | None:
    """Number of labels of each class."""
    if kind == "rows":
        return labels.sum(0, dtype=np.float64) if labels.ndim == 2 else None
    if labels.ndim != 1:
        return None
    if kind == "bits":
        ones = float(labels.sum(dtype=np.float64))
        return np.array([len(labels) - ones, ones])
    return np.bincount(labels.astype(np.int64)).astype(np.float64)


def _padded(values: Any, size: int) -> np.ndarray:
    values = np.atleast_1d(values)
    return np.concatenate([values, np.zeros(size - len(values))])
