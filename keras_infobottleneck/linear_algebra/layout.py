"""Names and shapes of the weights a result is about, and their one flat order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """Weights in order.

    Args:
        paths: a name for each, unique.
        shapes: the shape of each.
    """

    paths: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, names: Sequence[str], tensors: Sequence[Any]) -> Layout:
        """Names, and the shapes of the tensors that have them."""
        return cls(tuple(names), tuple(tuple(tensor.shape) for tensor in tensors))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Weights in each."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def size(self) -> int:
        """Weights in all."""
        return sum(self.sizes)

    def split(self, flat: np.ndarray) -> list[np.ndarray]:
        """The last axis cut up into one array per variable."""
        parts = np.split(flat, np.cumsum(self.sizes)[:-1], axis=-1)
        return [
            np.reshape(part, part.shape[:-1] + shape)
            for part, shape in zip(parts, self.shapes, strict=True)
        ]

    def check(self, tensors: Sequence[np.ndarray]) -> None:
        """Refuses anything but one array per variable.

        Raises:
            ValueError: another number of arrays, or other shapes.
        """
        shapes = tuple(tuple(np.shape(t)) for t in tensors)
        if shapes != self.shapes:
            raise ValueError(
                "`tensors` must be one array per variable, in the order and shapes of "
                f"`variables`, {self.shapes}. Received: shapes={shapes}"
            )

    def join(self, tensors: Sequence[np.ndarray]) -> np.ndarray:
        """One array per variable to one flat vector; see `check`."""
        self.check(tensors)
        return np.concatenate([np.reshape(t, -1) for t in tensors])
