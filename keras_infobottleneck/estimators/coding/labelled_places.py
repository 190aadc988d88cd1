"""Activations with labels: of examples, or of the places of each example, without masked ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_infobottleneck.arguments import check_integers, check_numbers, refusal
from keras_infobottleneck.introspection.contents import mask_of

__all__ = ["LabelledPlaces", "labelled_places"]


class LabelledPlaces(NamedTuple):
    """Activations and classes of all places with a label; those of one example are together.

    Attributes:
        z: `[labels, units]`, in float64.
        y: `[labels]`, classes.
        examples: `[labels]`, number of the example of each label, in ascending order.
        num_examples: Number of examples, including those without a label.
    """

    z: np.ndarray
    y: np.ndarray
    examples: np.ndarray
    num_examples: int


def labelled_places(z: Any, y: Any, mask: Any = None) -> LabelledPlaces:
    """The places that have a label.

    Args:
        z: `[examples, ...]`; places, if there are any, are the axes after the first.
        y: Classes `[examples]` or `[examples, places]`, with any number of axes of places. One more
            axis may be of size one or hold one-hot rows.
        mask: True where a label counts, in the shape of the classes; by default the mask that Keras
            keeps with `z`, if it has that shape.

    Raises:
        TypeError: The arrays do not hold numbers.
        ValueError: Shapes do not match, or labels are not classes.
    """
    kept_by_keras = mask_of(z)
    z = check_numbers("z", z, "[examples, ...]", finite=False, nan=True)
    given = check_numbers("y", y, f"[{len(z)}, ...]", finite=False, nan=True, dtype=None)
    if mask is not None:
        mask = _checked(mask)
    has_further_axis = _has_further_axis(z.shape, given, None if mask is None else mask.shape)
    shape = given.shape[:-1] if has_further_axis else given.shape
    if mask is None and kept_by_keras is not None and tuple(kept_by_keras.shape) == shape:
        mask = np.asarray(kept_by_keras).astype(bool)
    kept = np.ones(shape, bool) if mask is None else mask
    if kept.shape != shape:
        raise refusal(ValueError, "mask", f"have the shape {shape} of the labels", mask)
    # Values at masked places are ignored, including NaN and labels of -1.
    wide = kept.reshape(*shape, *[1] * (z.ndim - kept.ndim))
    check_numbers("z", z if np.all(kept) else np.where(wide, z, 0.0))
    labels = given[kept]
    are_rows = has_further_axis and given.shape[-1] > 1
    found = _classes(y, labels if are_rows else labels.reshape(-1), are_rows, z.shape)
    examples = np.nonzero(kept)[0]
    if np.all(examples == examples[:1]):
        if mask is None:
            raise refusal(ValueError, "y", "hold labels of two examples at least", y)
        raise refusal(ValueError, "mask", "count labels of two examples at least", mask)
    return LabelledPlaces(z.reshape(*shape, -1)[kept], found, examples, len(z))


def _has_further_axis(
    shape: tuple[int, ...], y: np.ndarray, of_mask: tuple[int, ...] | None
) -> bool:
    """Whether the labels have an axis after those of examples and places."""
    has_none = y.ndim == 1 or (y.ndim < len(shape) and y.shape == shape[: y.ndim])
    has_one = 1 < y.ndim <= len(shape) and y.shape[:-1] == shape[: y.ndim - 1]
    if not has_none and not has_one:
        raise _unreadable(y, shape)
    if has_none != has_one:
        return has_one
    # There are as many places as classes would be: the mask decides, or the values of the rows.
    if of_mask in (y.shape, y.shape[:-1]):
        return of_mask == y.shape[:-1]
    could_be_rows = bool(np.all(_is_one_hot(y)))
    if could_be_rows and y.shape[-1] > 1 and y.dtype.kind in "iu":
        expected = (
            "hold class numbers, not one-hot rows, if there are as many classes as places; "
            "labels of places that look like one-hot rows need `mask=` of their own shape"
        )
        raise refusal(ValueError, "y", expected, y)
    return could_be_rows


def _is_one_hot(rows: np.ndarray) -> np.ndarray:
    """Whether each row has a single one and zeros, `[...]`."""
    bits = (rows == 0) | (rows == 1)
    return np.all(bits, -1) & (np.where(bits, rows, 0).sum(-1) == 1)


def _unreadable(y: Any, shape: tuple[int, ...]) -> Exception:
    """The exception for labels that are neither classes nor one-hot rows of such activations."""
    expected = (
        "hold a class, or a one-hot row, for each example or for each place along the axes of `z` "
        f"before its units, `z` being of shape {shape}"
    )
    return refusal(ValueError, "y", expected, y)


def _classes(given: Any, labels: np.ndarray, are_rows: bool, shape: tuple[int, ...]) -> np.ndarray:
    """Class numbers, int64, of labels or one-hot rows that are not masked."""
    if not are_rows:
        labels = check_integers("y", labels)
    elif np.all(_is_one_hot(labels)):
        labels = labels.argmax(-1)
    else:
        raise _unreadable(given, shape)
    if labels.size and (labels.min() < 0 or not 0 < labels.max() < len(labels)):
        expected = (
            "hold classes from 0 on, two at least and fewer than labels, wherever `mask` counts one"
        )
        raise refusal(ValueError, "y", expected, given)
    return labels.astype(np.int64)


def _checked(mask: Any) -> np.ndarray:
    """The mask as an array of True and False."""
    mask = check_numbers("mask", mask, booleans=True, dtype=None)
    if not np.all((mask == 0) | (mask == 1)):
        expected = "hold True and False, or ones and zeros: a label is either coded or not"
        raise refusal(ValueError, "mask", expected, mask)
    return mask.astype(bool)
