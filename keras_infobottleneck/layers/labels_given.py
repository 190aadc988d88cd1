"""The labels of the batch that a model trains or evaluates on, for layers that price by them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import tensorflow as tf

from keras_infobottleneck.arguments import described, refusal

__all__ = ["current_labels", "labels_given", "shape_of_labels"]

# Each thread, and each asynchronous task, has its own. A replica takes its step in a thread of its
# own, and opens the scope there.
_labels: ContextVar[Any] = ContextVar("labels", default=None)


@contextlib.contextmanager
def labels_given(y: Any) -> Iterator[None]:
    """Inside, layers that price by the label find those of the batch."""
    before = _labels.set(y)
    try:
        yield
    finally:
        _labels.reset(before)


def current_labels() -> Any:
    """The labels of the batch, None outside of a step of a model that gives them."""
    return _labels.get()


def shape_of_labels(labels: Any, num_classes: int, rank: int) -> tuple[tf.Tensor, bool]:
    """Labels as a tensor, and whether they are one-hot.

    Args:
        labels: numbers of classes ``[batch]`` or ``[batch, 1]``, for each place of a
            representation of the given `rank` too, or one-hot with ``num_classes`` at the end.
        num_classes: how many.
        rank: number of axes of the representation.
    """
    if labels is None or not hasattr(labels, "shape"):
        raise refusal(TypeError, "labels", "be one tensor of class labels", labels)
    labels = tf.convert_to_tensor(labels)
    axes, last = labels.shape.rank, labels.shape[-1] if labels.shape.rank else None
    # Whole numbers for each time step may happen to be as many as there are classes.
    is_one_hot = last == num_classes and axes > 1 and (axes == rank or labels.dtype.is_floating)
    if not is_one_hot and last == 1 and axes in (2, rank):
        labels, axes = tf.squeeze(labels, -1), axes - 1
    if axes == 0 or axes > rank - (0 if is_one_hot else 1):
        expected = f"be class numbers or one-hot with {num_classes} columns"
        raise ValueError(f"`labels` must {expected}. Received: labels={described(labels)}")
    return labels, is_one_hot
