"""What all bounds share: the checks of their arguments, and rounding to the safe side."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_infobottleneck.arguments import check_numbers

__all__ = ["check_broadcast", "failure_probability", "rounded_down", "rounded_up"]

SAFETY = 1e-11  # added in full and in proportion: far above float64 rounding, below 1e-9

SMALLEST = float(np.finfo("float64").tiny)  # probability: its reciprocal is finite


def failure_probability(name: str, value: Any) -> np.ndarray:
    """A probability with which something may fail, or an array of such."""
    return check_numbers(name, value, None, SMALLEST, 1, open_above=True)


def check_broadcast(arguments: dict[str, np.ndarray]) -> None:
    """Refuses arrays of shapes that do not go together."""
    shapes = {name: array.shape for name, array in arguments.items() if array.ndim}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        names = " and ".join(f"`{name}`" for name in shapes)
        raise ValueError(f"{names} must broadcast. Received: shapes {shapes}") from None


def rounded_up(bound: Any, risk: Any) -> Any:
    """Never below the risk, never above 1, never below the exact bound by rounding."""
    bound = np.minimum(np.maximum(bound * (1.0 + SAFETY) + SAFETY, risk), 1.0)
    return bound if bound.ndim else float(bound)


def rounded_down(bound: Any, risk: Any) -> Any:
    """The same for a lower bound: never above the risk, never below 0."""
    bound = np.maximum(np.minimum(bound * (1.0 - SAFETY) - SAFETY, risk), 0.0)
    return bound if bound.ndim else float(bound)
