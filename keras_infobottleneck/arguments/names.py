"""Check of arguments that are collections of names: of parts, layers or kinds."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from keras_infobottleneck.arguments.values import refusal

__all__ = ["check_names"]

# Largest number of names that a message lists in full; of longer lists it shows similar names.
MAX_NAMES = 20


def check_names(
    name: str, value: Any, known: Collection[str], of: str, *, least: int = 1
) -> list[str]:
    """Returns the value, a collection of known names without duplicates, as a list.

    Args:
        name: Name of the argument.
        value: The value received.
        known: The names that are allowed.
        of: What the names denote, in words, for the message.
        least: Smallest number of names.

    Raises:
        TypeError: The value is a single text, or not a collection of texts.
        ValueError: There are too few names, an unknown one, or a duplicate.
    """
    expected = f"be a collection of names of {of}"
    is_collection = isinstance(value, Collection) and not isinstance(
        value, str | bytes | Mapping | np.ndarray
    )
    if not is_collection or not all(isinstance(each, str) for each in value):
        raise refusal(TypeError, name, expected, value)
    is_short, is_known = len(value) < least, set(value) <= set(known)
    if is_short or not is_known or len(set(value)) < len(value):
        expected += f", at least {least} of {_all_or_nearest(known, value)}, each once"
        raise refusal(ValueError, name, expected, value)
    return list(value)


def _all_or_nearest(known: Collection[str], value: Collection[str]) -> str:
    """The known names in full if they are few, else the ones most similar to the unknown ones."""
    if len(known) <= MAX_NAMES:
        return f"[{', '.join(map(repr, known))}]"
    unknown = [each for each in value if each not in known]
    near = {like: None for each in unknown for like in difflib.get_close_matches(each, known)}
    like = f", such as {', '.join(map(repr, near))}" if near else ""
    return f"{len(known)} names{like or f', the first of which is {next(iter(known))!r}'}"
