"""Checks and conversion of a layer's states for the measures of their geometry."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_infobottleneck.arguments import check_numbers, described
from keras_infobottleneck.linear_algebra.units import of_order_one

__all__ = ["varied_states"]


def varied_states(name: str, states: Any, shape: str, least: int) -> np.ndarray:
    """The states as ``[num_examples, units]`` in float64, divided so that the largest is near 1.

    No measure here depends on a common scale, and fourth powers of 1e100 overflow in float64. The
    states are divided by a power of 2, which changes no digits.

    Args:
        name: Name of the argument.
        states: The value received.
        shape: As in `check_numbers`.
        least: Smallest number of examples.

    Raises:
        TypeError, ValueError: The array is not valid, there are too few examples, or all states
            are equal.
    """
    array = check_numbers(name, states, shape, booleans=True)
    flat = array.reshape(len(array), -1)
    if len(flat) < least:
        expected = f"`{name}` must hold at least {least} examples"
        raise ValueError(f"{expected}. Received: {name}={described(states)}")
    if np.all(flat == flat[:1]):
        expected = f"`{name}` must vary"
        raise ValueError(f"{expected}. Received: {name}={described(states)}, all equal")
    return of_order_one(flat, axis=None)
