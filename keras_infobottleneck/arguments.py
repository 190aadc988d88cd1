"""What the arguments of public functions may be: a check each, before any work.

The rule, everywhere: TypeError where the kind is wrong (text, None, a fraction where a count is
asked, an array where a number is), ValueError where the kind is right and the value is not. Every
refusal is one sentence that names the argument, what was expected and what was received.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection
from typing import Any

import keras
import numpy as np

__all__ = [
    "check_choice",
    "check_count",
    "check_flag",
    "check_model",
    "check_number",
    "check_positive",
    "check_price",
    "check_probability",
    "check_seed",
    "described",
]

# Of a value in a refusal, in characters; what is longer is cut.
MAX_CHARACTERS = 120


def described(value: Any) -> str:
    """A value in a few words, for the end of a refusal: arrays by shape, models by name."""
    if isinstance(value, keras.Layer):
        return f"{type(value).__name__} named {value.name!r}"
    if isinstance(value, np.ndarray) or keras.ops.is_tensor(value):
        if value.ndim == 0 and isinstance(value, np.ndarray):
            return f"array({value.item()!r})"
        dtype = keras.backend.standardize_dtype(value.dtype) if value.dtype != object else "object"
        return f"array of shape {tuple(value.shape)} and dtype {dtype}"
    if isinstance(value, list | tuple) and any(
        isinstance(each, np.ndarray) or keras.ops.is_tensor(each) for each in value
    ):
        parts = ", ".join(described(each) for each in value[:4])
        more = ", ..." if len(value) > 4 else ""
        return f"{type(value).__name__} of {len(value)}: {parts}{more}"
    try:
        text = repr(value)
    except Exception:  # somebody's own class
        text = f"an object of type {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}..."


def check_number(
    name: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    open_below: bool = False,
    open_above: bool = False,
    finite: bool = True,
) -> float:
    """The value as a float; a number between two ends, which belong to the range unless open.

    Raises:
        TypeError: not a number.
        ValueError: NaN, infinite where `finite`, or outside the range.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a number. Received: {name}={described(value)}")
    above = value > least if open_below else value >= least
    below = value < most if open_above else value <= most
    if not (above and below) or (finite and math.isinf(value)):
        raise ValueError(
            f"`{name}` must be {_range(least, most, open_below, open_above, finite)}. "
            f"Received: {name}={described(value)}"
        )
    return float(value)


def _range(least, most, open_below, open_above, finite) -> str:
    """The range in words."""
    if math.isinf(least) and math.isinf(most):
        return "finite" if finite else "a number"
    if math.isinf(most):
        words = f"above {least:g}" if open_below else f"at least {least:g}"
        return f"{words} and finite" if finite else words
    if math.isinf(least):
        return f"below {most:g}" if open_above else f"at most {most:g}"
    return f"in {'(' if open_below else '['}{least:g}, {most:g}{')' if open_above else ']'}"


def check_count(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """The value as an int; an integer of at least `least` and, if given, at most `most`.

    Raises:
        TypeError: not an integer.
        ValueError: too small or too large.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer. Received: {name}={described(value)}")
    if value < least:
        raise ValueError(f"`{name}` must be at least {least}. Received: {name}={described(value)}")
    if most is not None and value > most:
        raise ValueError(f"`{name}` must be at most {most}. Received: {name}={described(value)}")
    return int(value)


def check_positive(name: str, value: Any) -> float:
    """The value as a float; a finite number above zero."""
    return check_number(name, value, 0.0, open_below=True)


def check_price(name: str, value: Any) -> float:
    """The value as a float; a finite number, zero or above."""
    return check_number(name, value, 0.0)


def check_probability(name: str, value: Any) -> float:
    """The value as a float; a number strictly between 0 and 1."""
    return check_number(name, value, 0.0, 1.0, open_below=True, open_above=True)


def check_seed(name: str, value: Any) -> int | None:
    """The value as an int, or None for a fresh seed; an integer of at least 0.

    Raises:
        TypeError: not an integer.
        ValueError: a negative one.
    """
    if value is None:
        return None
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer or None. Received: {name}={described(value)}")
    if value < 0:
        raise ValueError(f"`{name}` must be at least 0. Received: {name}={described(value)}")
    return int(value)


def check_flag(name: str, value: Any) -> bool:
    """The value as a bool; True or False.

    Raises:
        TypeError: anything else.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"`{name}` must be True or False. Received: {name}={described(value)}")
    return bool(value)


def check_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """The value; one of several words.

    Raises:
        TypeError: not text.
        ValueError: another word.
    """
    words = ", ".join(repr(each) for each in choices)
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be one of {words}. Received: {name}={described(value)}")
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {words}. Received: {name}={described(value)}")
    return value


def check_model(name: str, value: Any) -> keras.Model:
    """The value; a Keras model.

    Raises:
        TypeError: anything else.
    """
    if not isinstance(value, keras.Model):
        raise TypeError(f"`{name}` must be a keras.Model. Received: {name}={described(value)}")
    return value
