"""The labels of the batch that a model trains or evaluates on, for layers that price by them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import described, refusal
from keras_infobottleneck.introspection.refusals_in_calls import as_it_is

__all__ = ["ClassLabels", "class_labels", "current_labels", "labels_given"]

TOLERANCE = 0.01  # of the sum of shares, which may have been rounded to 16 bits

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


@dataclass(frozen=True)
class ClassLabels:
    """The classes of the examples, or of the places of a representation.

    Attributes:
        values: numbers of classes, int32, or the shares of each class in float32, along a last axis
            of its own. Where nothing is there, or the label is wrong, a class all the same.
        is_one_hot: whether they are shares.
        are_wrong: where something is there and its label is none of the classes, and no shares that
            add up to 1.
    """

    values: tf.Tensor
    is_one_hot: bool
    are_wrong: tf.Tensor


def class_labels(labels: Any, num_classes: int, shape: tf.TensorShape, there: Any) -> ClassLabels:
    """Labels as a layer prices by them.

    Args:
        labels: numbers of classes ``[batch]`` or ``[batch, 1]``, for each place of a
            representation too, or one-hot with ``num_classes`` at the end.
        num_classes: how many.
        shape: of the representation.
        there: mask of its examples or places, or None; the others may have any label.

    Raises:
        TypeError, ValueError: no tensor, or one of another shape; labels of no class, at once where
            their values are known and else when the graph runs, on a CPU without XLA.
    """
    if labels is None or not hasattr(labels, "shape"):
        words = "be one tensor of class labels; of several outputs, give them in the layer's call"
        raise as_it_is(refusal(TypeError, "labels", words, labels))
    must = f"`labels` must be class numbers from 0 to {num_classes - 1}, or one-hot with "
    must += f"{num_classes} columns"
    given = described(labels)
    if np.dtype(tf.as_dtype(labels.dtype).as_numpy_dtype).kind not in "iubfV":  # V: bfloat16
        raise as_it_is(TypeError(f"{must}. Received: labels={given}"))
    labels, rank = tf.convert_to_tensor(labels), len(shape)
    if labels.shape.rank is None:  # Keras traces for any shape where calls of `fit` had several
        words = "`labels` must have as many axes in every call of `fit`"
        raise as_it_is(ValueError(f"{words}. Received: labels of an unknown number of axes"))
    axes, last = labels.shape.rank, labels.shape[-1] if labels.shape.rank else None
    # Whole numbers for each time step may happen to be as many as there are classes.
    are_places = not labels.dtype.is_floating and labels.shape.is_compatible_with(shape[:axes])
    is_one_hot = last == num_classes and axes > 1 and (axes == rank or not are_places)
    if not is_one_hot and last == 1 and axes in (2, rank):
        labels, axes = tf.squeeze(labels, -1), axes - 1
    places = axes - 1 if is_one_hot else axes
    fits = 0 < places < rank and labels.shape[:places].is_compatible_with(shape[:places])
    if not fits:
        words = f"{must}, for each example or place of a code of shape {_words(shape)}"
        if axes == 2 and rank == 2:
            words += " (on a sequence the layer works as it is, without TimeDistributed)"
        raise as_it_is(ValueError(f"{words}. Received: labels={given}"))
    exact = tf.cast(labels, tf.float32)
    if is_one_hot:
        adds_up = tf.abs(tf.reduce_sum(exact, -1) - 1.0) < TOLERANCE
        are_fine = adds_up & (tf.reduce_min(exact, -1) > -TOLERANCE)
        values = tf.where(are_fine[..., None], exact, 1.0 / num_classes)
    else:
        are_fine = (exact >= 0.0) & (exact < num_classes) & (tf.floor(exact) == exact)
        values = tf.cast(tf.where(are_fine, exact, 0.0), tf.int32)
    are_wrong = ~are_fine
    if there is not None:
        are_wrong &= _for_places(tf.cast(there, tf.bool), places)
    if tf.executing_eagerly():
        if np.any(are_wrong):
            wrong = described(labels.numpy()[are_wrong.numpy()][0].tolist())
            raise as_it_is(ValueError(f"{must}. Received: labels={given}, with {wrong}"))
    elif not tf.config.list_logical_devices("GPU"):
        # Of a GPU the host would wait at every step; there, as under XLA, the nats are NaN.
        message = f"{must}. Received: labels={given}, with other values"
        tf.debugging.Assert(tf.reduce_all(~are_wrong), [message])
    return ClassLabels(values, is_one_hot, are_wrong)


def _for_places(there: tf.Tensor, places: int) -> tf.Tensor:
    """A mask in as many axes as labels have; an example is there where any of its places is."""
    for _ in range(places, there.shape.rank):
        there = tf.reduce_any(there, -1)
    for _ in range(there.shape.rank, places):
        there = there[..., None]
    return there


def _words(shape: tf.TensorShape) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"
