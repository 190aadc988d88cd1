"""Checks of arguments that are one value: a number, a word, a path, a model.

Every check returns the checked value. With `optional=True` None is taken too, and returned: as
each caller knows which it asked for, the type is then `Any`.
"""

from __future__ import annotations

import inspect
import math
import numbers
import os
import reprlib
import stat
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

__all__ = [
    "Range",
    "check_choice",
    "check_count",
    "check_file",
    "check_flag",
    "check_instance",
    "check_keywords",
    "check_layer",
    "check_model",
    "check_number",
    "check_path",
    "check_positive",
    "check_price",
    "check_probability",
    "check_probes",
    "check_seed",
    "check_text",
    "check_verbose",
    "described",
    "refusal",
]

# Longest description of a value in a refusal, in characters; longer ones are cut.
MAX_CHARACTERS, MAX_ENTRIES = 120, 8
# TensorFlow and NumPy count in 64 bits.
LARGEST_INTEGER = 2**63 - 1


def described(value: Any) -> str:
    """A value in a few words, for the end of a refusal: arrays by shape, models by name."""
    try:
        text = _short(value)
    except Exception:  # the words of somebody's own class fail
        text = f"an object of type {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}..."


def _short(value: Any) -> str:
    """The same, which may fail and be too long."""
    if isinstance(value, keras.Layer):
        return f"{type(value).__name__} named {value.name!r}"
    if isinstance(value, keras.Variable):
        return f"variable {value.path!r} of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return f"array({value.item()!r})"
    if _is_array(value):
        dtype = getattr(value.dtype, "name", value.dtype)
        return f"array of shape {tuple(value.shape)} and dtype {dtype}"
    # Only the first few entries of long lists are looked at.
    if isinstance(value, list | tuple) and any(map(_is_array, value[:MAX_ENTRIES])):
        parts = ", ".join(described(each) for each in value[:4])
        more = ", ..." if len(value) > 4 else ""
        return f"{type(value).__name__} of {len(value)}: {parts}{more}"
    if isinstance(value, Mapping) and any(map(_is_array, value.values())):
        parts = (f"{key!r}: {described(each)}" for key, each in list(value.items())[:4])
        return f"{{{', '.join(parts)}}}"
    return reprlib.repr(value) if isinstance(value, list | tuple | set | dict) else repr(value)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or keras.ops.is_tensor(value)


def refusal(kind: type[Exception], name: str, expected: str, value: Any) -> Exception:
    """The exception, of one sentence."""
    return kind(f"`{name}` must {expected}. Received: {name}={described(value)}")


def _check_kind(name: str, value: Any, kind: Any, expected: str, optional: bool = False) -> None:
    """Refuses another kind; True and False are no numbers."""
    if value is None and optional:
        return
    is_bool = isinstance(value, bool | np.bool_) and kind in (numbers.Real, numbers.Integral)
    if is_bool or not isinstance(value, kind):
        expected += " or None" if optional else ""
        raise refusal(TypeError, name, f"be {expected}", value)


class Range(NamedTuple):
    """Where numbers may lie: between two ends, which belong to it unless open."""

    least: float = -math.inf
    most: float = math.inf
    open_below: bool = False
    open_above: bool = False
    finite: bool = True

    def holds(self, value: Any) -> Any:
        """Whether a number, or each of an array, lies in it; NaN does not."""
        fits = np.isfinite(value) if self.finite else ~np.isnan(value)
        if self.least > -math.inf:
            fits = fits & (value > self.least if self.open_below else value >= self.least)
        if self.most < math.inf:
            fits = fits & (value < self.most if self.open_above else value <= self.most)
        return fits

    def __str__(self) -> str:
        least, most = self.least, self.most
        if math.isfinite(least) and math.isfinite(most):
            below, above = "(" if self.open_below else "[", ")" if self.open_above else "]"
            return f"in {below}{least:g}, {most:g}{above}"
        words = []
        if math.isfinite(least):
            words.append(f"{'above' if self.open_below else 'at least'} {least:g}")
        if math.isfinite(most):
            words.append(f"{'below' if self.open_above else 'at most'} {most:g}")
        if self.finite:
            words.append("finite")
        return " and ".join(words) or "a number"


def check_number(
    name: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    open_below: bool = False,
    open_above: bool = False,
    finite: bool = True,
    nan: bool = False,
    optional: bool = False,
) -> Any:
    """The value as a float; a number between two ends, which belong to the range unless open.

    Raises:
        TypeError: not a number.
        ValueError: NaN unless `nan`, infinite where `finite`, or outside the range.
    """
    _check_kind(name, value, numbers.Real, "a number", optional)
    if value is None:
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf if value > 0 else -math.inf
    allowed = Range(least, most, open_below, open_above, finite)
    if not (allowed.holds(number) or (nan and math.isnan(number))):
        raise refusal(ValueError, name, f"be {allowed}", value)
    return number


def check_count(
    name: str,
    value: Any,
    least: int = 1,
    most: int = LARGEST_INTEGER,
    *,
    optional: bool = False,
) -> Any:
    """The value as an int; an integer of at least `least` and at most `most`.

    Raises:
        TypeError: not an integer.
        ValueError: too small or too large.
    """
    _check_kind(name, value, numbers.Integral, "an integer", optional)
    if value is None:
        return None
    if value < least:
        raise refusal(ValueError, name, f"be at least {least}", value)
    if value > most:
        raise refusal(ValueError, name, f"be at most {most}", value)
    return int(value)


def check_positive(name: str, value: Any, *, optional: bool = False) -> Any:
    """The value as a float; a finite number above zero."""
    return check_number(name, value, 0.0, open_below=True, optional=optional)


def check_price(name: str, value: Any) -> float:
    """The value as a float; a finite number, zero or above."""
    return check_number(name, value, 0.0)


def check_probability(name: str, value: Any) -> float:
    """The value as a float; a number strictly between 0 and 1."""
    return check_number(name, value, 0.0, 1.0, open_below=True, open_above=True)


def check_seed(name: str, value: Any) -> int | None:
    """The value as an int, or None for a fresh seed; an integer of at least 0."""
    return check_count(name, value, 0, optional=True)


def check_flag(name: str, value: Any, *, optional: bool = False) -> bool | None:
    """The value as a bool; True or False. Anything else is a TypeError."""
    _check_kind(name, value, bool | np.bool_, "True or False", optional)
    return None if value is None else bool(value)


def check_verbose(name: str, value: Any, words: Collection[str] = ()) -> int | str:
    """The value; 0 to 2 (or False, True), or one of several words."""
    if isinstance(value, str) and words:
        return check_choice(name, value, words)
    return value if isinstance(value, bool) else check_count(name, value, 0, 2)


def check_text(name: str, value: Any, *, optional: bool = False) -> Any:
    """The value; text. Anything else is a TypeError."""
    _check_kind(name, value, str, "text", optional)
    return value


def check_choice(name: str, value: Any, choices: Collection[str], *, optional: bool = False) -> Any:
    """The value; one of several words.

    Raises:
        TypeError: not text.
        ValueError: another word.
    """
    words = f"one of {', '.join(repr(each) for each in choices)}"
    _check_kind(name, value, str, words, optional)
    if value is not None and value not in choices:
        raise refusal(ValueError, name, f"be {words}", value)
    return value


def check_instance(
    name: str, value: Any, kind: Any, expected: str, *, optional: bool = False
) -> Any:
    """The value; an object of a class. Anything else is a TypeError.

    Args:
        name: of the argument.
        value: what was given.
        kind: the class.
        expected: the class in words, such as "a Keras layer".
        optional: whether None is taken.
    """
    _check_kind(name, value, kind, expected, optional)
    return value


def check_model(name: str, value: Any) -> keras.Model:
    """The value; a Keras model. Anything else is a TypeError."""
    return check_instance(name, value, keras.Model, "a keras.Model")


def check_layer(name: str, value: Any, *, optional: bool = False) -> Any:
    """The value; a Keras layer. Anything else is a TypeError."""
    return check_instance(name, value, keras.Layer, "a Keras layer", optional=optional)


def check_path(name: str, value: Any, *, optional: bool = False) -> Any:
    """The value as text; the path of a file or folder. Anything else is a TypeError."""
    _check_kind(name, value, str | os.PathLike, "a path", optional)
    return None if value is None else os.fspath(value)


def check_file(name: str, value: Any, *, optional: bool = False) -> Any:
    """Where a file is to be written: the path as text, a link's target for a link.

    Args:
        name: of the argument.
        value: path of the file, which need not exist; its folder must.
        optional: whether None is taken.

    Raises:
        TypeError: no path.
        ValueError: a folder, a device, a link that leads to itself, or a folder that is missing.
    """
    path = check_path(name, value, optional=optional)
    if path is None:
        return None
    target = os.path.realpath(path)
    is_other = os.path.lexists(target) and not stat.S_ISREG(os.lstat(target).st_mode)
    if is_other or not os.path.isdir(os.path.dirname(target)):
        raise refusal(ValueError, name, "be a file in a folder that exists", path)
    return target


def check_keywords(function: Callable, of: Callable, options: Mapping[str, Any]) -> None:
    """Refuses options that are handed on from one function to another which has no such keyword.

    As Python does it, but for the function that was called.
    """
    known = inspect.signature(of).parameters
    for name in options:
        if name not in known or known[name].kind is not inspect.Parameter.KEYWORD_ONLY:
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}")


def check_probes(num_probes: int, num_steps: int = 2, seed: int = 0) -> None:
    """What estimates by random vectors are asked: how many, products for each, their seed."""
    check_count("num_probes", num_probes, 2)
    check_count("num_steps", num_steps, 2)
    check_count("seed", seed, 0)
