"""The labels of the batch that a model trains or evaluates on, for priors that need them."""

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

TOLERANCE = 0.01  # for sums of class probabilities, which may be rounded to 16 bits

# Separate for each thread and each asynchronous task. A replica runs its step, and opens the scope,
# in a thread of its own.
_labels: ContextVar[Any] = ContextVar("labels", default=None)


@contextlib.contextmanager
def labels_given(y: Any) -> Iterator[None]:
    """Inside, `current_labels` returns these labels of the batch."""
    before = _labels.set(y)
    try:
        yield
    finally:
        _labels.reset(before)


def current_labels() -> Any:
    """The labels of the batch; None outside a step of a model that provides them."""
    return _labels.get()


@dataclass(frozen=True)
class ClassLabels:
    """The classes of the examples, or of each place of a representation.

    Attributes:
        values: Class numbers, int32, or class probabilities along a last axis, float32. Masked
            places and wrong labels have an arbitrary valid class.
        is_one_hot: Whether the values are probabilities.
        are_wrong: True where a place is not masked and its label is not a class number, or not a
            row of probabilities that add up to 1.
    """

    values: tf.Tensor
    is_one_hot: bool
    are_wrong: tf.Tensor


def class_labels(labels: Any, num_classes: int, shape: tf.TensorShape, there: Any) -> ClassLabels:
    """Checks and converts labels for a layer whose prior depends on them.

    Args:
        labels: Class numbers ``[batch]`` or ``[batch, 1]``, possibly for each place of a
            representation, or one-hot with ``num_classes`` as the last axis.
        num_classes: Number of classes.
        shape: Shape of the representation.
        there: Mask of its examples or places, or None; masked ones may have any label.

    Raises:
        TypeError, ValueError: The labels are not a tensor, have a wrong shape, or are not classes.
            Values are checked at once if they are known, else when the graph runs on a CPU
            without XLA.
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
    if labels.shape.rank is None:  # Keras traced for any shape, after calls with several
        words = "`labels` must have as many axes in every call of `fit`"
        raise as_it_is(ValueError(f"{words}. Received: labels of an unknown number of axes"))
    axes, last = labels.shape.rank, labels.shape[-1] if labels.shape.rank else None
    # Integers for each time step, where the number of steps equals the number of classes.
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
        # On a GPU a check would make the host wait at every step; there, as under XLA, nats are
        # NaN.
        message = f"{must}. Received: labels={given}, with other values"
        tf.debugging.Assert(tf.reduce_all(~are_wrong), [message])
    return ClassLabels(values, is_one_hot, are_wrong)


def _for_places(there: tf.Tensor, places: int) -> tf.Tensor:
    """The mask with as many axes as labels; an example is present if any of its places is."""
    for _ in range(places, there.shape.rank):
        there = tf.reduce_any(there, -1)
    for _ in range(there.shape.rank, places):
        there = there[..., None]
    return there


def _words(shape: tf.TensorShape) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"
