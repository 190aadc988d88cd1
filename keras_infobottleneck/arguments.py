"""Numbers that arguments may be: others are refused in one sentence, before any work."""

import math
import numbers

__all__ = ["check_count", "check_positive", "check_price"]


def check_count(name: str, value, least: int = 1) -> None:
    """Raise unless `value` is an integer, `least` or more."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}")
    if value < least:
        raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value!r}")


def check_positive(name: str, value) -> None:
    """Raise unless `value` is a finite number above zero."""
    _check_number(name, value)
    if not 0 < value < math.inf:
        raise ValueError(f"`{name}` must be positive and finite. Received: {name}={value!r}")


def check_price(name: str, value) -> None:
    """Raise unless `value` is a finite number, zero or above."""
    _check_number(name, value)
    if not 0 <= value < math.inf:
        raise ValueError(
            f"`{name}` must be zero or positive, and finite. Received: {name}={value!r}"
        )


def _check_number(name: str, value) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a number. Received: {name}={value!r}")
