"""Check of arguments that are names out of a list: of parts, layers, kinds."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from keras_infobottleneck.arguments.values import refusal

__all__ = ["check_names"]

# Most names that a refusal lists; of more it names those like the ones given.
MAX_NAMES = 20


def check_names(
    name: str, value: Any, known: Collection[str], of: str, *, least: int = 1
) -> list[str]:
    """The value as a list; a collection of names, each known and there once.

    Args:
        name: of the argument.
        value: what was given.
        known: the names that there are.
        of: what they are names of, for the refusal.
        least: how many there must be.

    Raises:
        TypeError: text, or what is no collection of text.
        ValueError: too few, an unknown one, or one twice.
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
    """The names that there are; of many, such as a model's layers, those like the ones given."""
    if len(known) <= MAX_NAMES:
        return f"[{', '.join(map(repr, known))}]"
    unknown = [each for each in value if each not in known]
    near = {like: None for each in unknown for like in difflib.get_close_matches(each, known)}
    like = f", such as {', '.join(map(repr, near))}" if near else ""
    return f"{len(known)} names{like or f', the first of which is {next(iter(known))!r}'}"
