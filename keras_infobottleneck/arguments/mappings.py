"""The check of an argument that maps names to numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from keras_infobottleneck.arguments.values import check_instance, check_number, described, refusal

__all__ = ["check_named_numbers"]


def check_named_numbers(
    name: str,
    value: Any,
    least: float = -math.inf,
    *,
    finite: bool = True,
    known: Collection[str] | None = None,
) -> dict[str, float]:
    """Returns the value, a mapping from names to numbers, as a dictionary of floats.

    Args:
        name, value, least, finite: As in `check_number`, for each number.
        known: The names that are allowed; None allows any, but requires at least one.

    Raises:
        TypeError: The value is not a mapping, or one of its values is not a number.
        ValueError: No name, an unknown name, or a number outside the range.
    """
    check_instance(name, value, Mapping, "a mapping from names to numbers")
    if not value and known is None:
        raise refusal(ValueError, name, "hold at least one number", value)
    unknown = sorted(str(key) for key in value if known is not None and key not in known)
    if unknown:
        raise refusal(ValueError, name, f"have names among {described(list(known or ()))}", unknown)
    return {
        str(key): check_number(f"{name}[{key!r}]", each, least, finite=finite)
        for key, each in value.items()
    }
