"""Checks of arguments that are one value: a number, a word, a path, a model.

Every check returns the checked value. With `optional=True` it also accepts and returns None. The
annotated type is then `Any`, because each caller knows whether it allowed None.
"""

from __future__ import annotations

import inspect
import math
import numbers
import os
import reprlib
import secrets
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
    "seed_or_fresh",
]

# Longest description of a value in a refusal, in characters; longer ones are cut.
MAX_CHARACTERS, MAX_ENTRIES = 120, 8
# TensorFlow and NumPy count in 64 bits.
LARGEST_INTEGER = 2**63 - 1
LARGEST_FRESH_SEED = 2**31 - 1  # which everything that draws takes


def described(value: Any) -> str:
    """Short description of a value for the end of a message: arrays by shape, models by name."""
    try:
        text = _short(value)
    except Exception:  # the `__repr__` of a user's class fails
        text = f"an object of type {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}..."


def _short(value: Any) -> str:
    """Short description of a value; may raise, and may be too long."""
    if isinstance(value, keras.Layer):
        return f"{type(value).__name__} named {value.name!r}"
    if isinstance(value, keras.Variable):
        return f"variable {value.path!r} of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return f"array({value.item()!r})"
    if _is_array(value):
        dtype = getattr(value.dtype, "name", value.dtype)
        return f"array of shape {tuple(value.shape)} and dtype {dtype}"
    if hasattr(value, "__array__") and getattr(value, "shape", None):  # a table of pandas
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
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
    """Returns the exception with its one-sentence message."""
    return kind(f"`{name}` must {expected}. Received: {name}={described(value)}")


def _check_kind(name: str, value: Any, kind: Any, expected: str, optional: bool = False) -> None:
    """Refuses a value of the wrong type; True and False are not numbers."""
    if value is None and optional:
        return
    is_bool = isinstance(value, bool | np.bool_) and kind in (numbers.Real, numbers.Integral)
    if is_bool or not isinstance(value, kind):
        expected += " or None" if optional else ""
        raise refusal(TypeError, name, f"be {expected}", value)


class Range(NamedTuple):
    """The interval of allowed numbers; its ends belong to it unless they are open."""

    least: float = -math.inf
    most: float = math.inf
    open_below: bool = False
    open_above: bool = False
    finite: bool = True

    def holds(self, value: Any) -> Any:
        """Whether a number, or each number of an array, lies in the range; NaN does not."""
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
    """Returns the value, a number in a range, as a float; the ends are included unless open.

    Raises:
        TypeError: The value is not a number.
        ValueError: It is NaN without `nan`, infinite with `finite`, or outside the range.
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
    """Returns the value, an integer from `least` to `most`, as an int.

    Raises:
        TypeError: The value is not an integer.
        ValueError: It is too small or too large.
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
    """Returns the value, a finite number above zero, as a float."""
    return check_number(name, value, 0.0, open_below=True, optional=optional)


def check_price(name: str, value: Any) -> float:
    """Returns the value, a finite number of at least zero, as a float."""
    return check_number(name, value, 0.0)


def check_probability(name: str, value: Any) -> float:
    """Returns the value, a number strictly between 0 and 1, as a float."""
    return check_number(name, value, 0.0, 1.0, open_below=True, open_above=True)


def check_seed(name: str, value: Any) -> int | None:
    """Returns the value, an integer of at least 0, as an int; None asks for a fresh seed."""
    return check_count(name, value, 0, optional=True)


def seed_or_fresh(name: str, value: Any, most: int | None = None) -> int:
    """Returns the value, an integer of at least 0, as an int; for None a fresh seed.

    Fresh seeds come from the operating system, because a measurement neither uses nor changes the
    random numbers of the program around it. The result carries the seed.
    """
    seed = check_count(name, value, 0, most or LARGEST_INTEGER, optional=True)
    return secrets.randbelow((most or LARGEST_FRESH_SEED) + 1) if seed is None else seed


def check_flag(name: str, value: Any, *, optional: bool = False) -> bool | None:
    """Returns the value, True or False, as a bool. Anything else is a TypeError."""
    _check_kind(name, value, bool | np.bool_, "True or False", optional)
    return None if value is None else bool(value)


def check_verbose(name: str, value: Any, words: Collection[str] = ()) -> int | str:
    """Returns the value: an integer from 0 to 2, a bool, or one of the given words."""
    if isinstance(value, str) and words:
        return check_choice(name, value, words)
    return value if isinstance(value, bool) else check_count(name, value, 0, 2)


def check_text(name: str, value: Any, *, optional: bool = False) -> Any:
    """Returns the value, a text. Anything else is a TypeError."""
    _check_kind(name, value, str, "text", optional)
    return value


def check_choice(name: str, value: Any, choices: Collection[str], *, optional: bool = False) -> Any:
    """Returns the value, one of several words.

    Raises:
        TypeError: The value is not text.
        ValueError: It is not one of the words.
    """
    words = f"one of {', '.join(repr(each) for each in choices)}"
    _check_kind(name, value, str, words, optional)
    if value is not None and value not in choices:
        raise refusal(ValueError, name, f"be {words}", value)
    return value


def check_instance(
    name: str, value: Any, kind: Any, expected: str, *, optional: bool = False
) -> Any:
    """Returns the value, an instance of a class. Anything else is a TypeError.

    Args:
        name: Name of the argument.
        value: The value received.
        kind: The class.
        expected: The class in words, such as "a Keras layer", for the message.
        optional: Whether None is accepted.
    """
    _check_kind(name, value, kind, expected, optional)
    return value


def check_model(name: str, value: Any) -> keras.Model:
    """Returns the value, a Keras model. Anything else is a TypeError."""
    return check_instance(name, value, keras.Model, "a keras.Model")


def check_layer(name: str, value: Any, *, optional: bool = False) -> Any:
    """Returns the value, a Keras layer. Anything else is a TypeError."""
    return check_instance(name, value, keras.Layer, "a Keras layer", optional=optional)


def check_path(name: str, value: Any, *, optional: bool = False) -> Any:
    """Returns the value, the path of a file or folder, as text. Anything else is a TypeError."""
    _check_kind(name, value, str | os.PathLike, "a path", optional)
    return None if value is None else os.fspath(value)


def check_file(name: str, value: Any, *, optional: bool = False) -> Any:
    """Returns the path to write a file to, as text; of a symbolic link, the path of its target.

    Args:
        name: Name of the argument.
        value: Path of the file. The file need not exist, but its folder must.
        optional: Whether None is accepted.

    Raises:
        TypeError: The value is not a path.
        ValueError: It is a folder, a device or a link to itself, or its folder does not exist.
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
    """Refuses keyword arguments that `function` would pass on to `of`, which does not accept them.

    The exception is the one of Python, with the name of the function that the user called.
    """
    known = inspect.signature(of).parameters
    for name in options:
        if name not in known or known[name].kind is not inspect.Parameter.KEYWORD_ONLY:
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}")


def check_probes(num_probes: int, num_steps: int = 2, seed: int = 0) -> None:
    """Checks the number of random vectors, the number of products for each, and the seed."""
    check_count("num_probes", num_probes, 2)
    check_count("num_steps", num_steps, 2)
    check_count("seed", seed, 0)
