"""Checks of arguments that are arrays of numbers, or lists that are converted to arrays."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from keras_infobottleneck.arguments.values import Range, described, refusal

__all__ = ["check_integers", "check_numbers"]


def check_numbers(
    name: str,
    value: Any,
    shape: str | None = None,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    open_below: bool = False,
    open_above: bool = False,
    finite: bool = True,
    nan: bool = False,
    increasing: bool = False,
    booleans: bool = False,
    dtype: Any = np.float64,
) -> np.ndarray:
    """Returns the value as an array of real numbers, in float64 unless `dtype` says otherwise.

    Args:
        name: Name of the argument.
        value: The value received: an array, a tensor, a number, or lists of numbers.
        shape: Expected shape, such as "[num_examples, units]"; no axis may be empty. "..." at the
            end stands for any further axes, and a number for an axis of that size. None accepts
            any shape.
        least, most, open_below, open_above, finite: As in `check_number`.
        nan: Whether NaN is accepted.
        increasing: Whether each number must be larger than the one before.
        booleans: Whether True and False are accepted.
        dtype: Type of the result; None keeps the type of the value.

    Raises:
        TypeError: The value does not hold numbers, or holds complex ones.
        ValueError: The shape is wrong, or a number is outside the range.
    """
    array = _array(name, value, shape, "numbers", "fiub" if booleans else "fiu")
    array = array if dtype is None else array.astype(dtype, copy=False)
    allowed = Range(least, most, open_below, open_above, finite)
    fits = allowed.holds(array)
    _check_all(name, value, array, fits | np.isnan(array) if nan else fits, str(allowed))
    if increasing and array.ndim and not np.all(np.diff(array) > 0):
        raise refusal(ValueError, name, "be increasing", value)
    return array


def check_integers(
    name: str,
    value: Any,
    shape: str | None = None,
    least: int | None = None,
    most: int | None = None,
    *,
    booleans: bool = False,
    words: str = "",
) -> np.ndarray:
    """Returns the value as an array of integers, of its own type in native byte order.

    Args:
        name, value, shape, booleans: As in `check_numbers`.
        least, most: Smallest and largest integer accepted.
        words: What the array must hold, for the message, where "integers" is not precise enough.

    Raises:
        TypeError: The value holds something other than integers.
        ValueError: The shape is wrong, or an integer is outside the range.
    """
    words = words or ("integers or booleans" if booleans else "integers")
    array = _array(name, value, shape, words, "iub" if booleans else "iu")
    if least is not None:
        _check_all(name, value, array, array >= least, f"at least {least}")
    if most is not None:
        _check_all(name, value, array, array <= most, f"at most {most}")
    return array


def _array(name: str, value: Any, shape: str | None, words: str, kinds: str) -> np.ndarray:
    """Returns the value as an array, after checking its kind of numbers and its shape."""
    form = f"have the shape {shape} and not be empty" if shape else "be numbers"
    if isinstance(value, numbers.Integral) and not -(2**63) <= int(value) < 2**64:
        raise refusal(ValueError, name, "fit in 64 bits", value)
    try:
        array = np.asarray(value)
    except Exception as error:  # lists of unequal length, symbolic tensors, classes of a user
        is_ragged = isinstance(error, ValueError) and isinstance(value, list | tuple)
        raise refusal(ValueError if is_ragged else TypeError, name, form, value) from None
    if _is_empty_list(value):
        array = np.zeros(array.shape, int)  # NumPy makes it float64, which says nothing
    kind = "f" if str(array.dtype).startswith("bfloat") else array.dtype.kind
    if kind not in kinds:
        raise refusal(TypeError, name, f"hold {words}", value)
    if np.ma.is_masked(value):
        raise refusal(ValueError, name, "have no masked entries", value)
    if shape is not None and not _has_shape(array, shape):
        raise refusal(ValueError, name, form, value)
    # Bits and bytes are viewed later, and types compared: both need the native byte order.
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _is_empty_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and not value


def _has_shape(array: np.ndarray, shape: str) -> bool:
    """Whether an array has the shape that the text describes, and is not empty."""
    axes = shape.strip("[]").split(", ")
    if axes[-1] == "...":
        axes = axes[:-1] + [""] * (array.ndim - len(axes) + 1)
    sizes = zip(axes, array.shape, strict=False)
    is_as_said = all(not axis.isdecimal() or int(axis) == size for axis, size in sizes)
    return array.ndim == len(axes) and array.size > 0 and is_as_said


def _check_all(name: str, value: Any, array: np.ndarray, fits: np.ndarray, expected: str) -> None:
    """Refuses an array with entries that do not fit; the message shows the first of them."""
    if not np.all(fits):
        wrong = f", with {array[~fits][0]}" if array.ndim else ""
        raise ValueError(
            f"`{name}` must hold numbers that are {expected}. "
            f"Received: {name}={described(value)}{wrong}"
        )
