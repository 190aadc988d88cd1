"""What the results of estimators have in common."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

__all__ = ["Result"]


class Result:
    """A frozen dataclass of numbers, words and arrays."""

    def to_dict(self) -> dict[str, Any]:
        """Fields by name, as plain numbers and lists, for JSON."""
        return _plain(dataclasses.asdict(self))


def _plain(value: Any) -> Any:
    """Arrays as lists, in dictionaries too."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value
