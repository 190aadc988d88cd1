"""Names and shapes of the weights a result is about, and their one flat order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_infobottleneck.arguments import check_instance, check_numbers, refusal

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
        """Refuses anything but one array of finite numbers per variable.

        Raises:
            TypeError: no list, or other things than numbers.
            ValueError: another number of arrays, other shapes, NaN.
        """
        check_instance("tensors", tensors, list | tuple, "a list of one array per variable")
        if len(tensors) != len(self.paths):
            expected = f"be one array for each of {len(self.paths)} variables"
            raise refusal(ValueError, "tensors", expected, tensors)
        for number, (tensor, shape) in enumerate(zip(tensors, self.shapes, strict=True)):
            name = f"tensors[{number}]"
            if check_numbers(name, tensor, dtype=None).shape != shape:
                expected = f"have the shape {shape} of {self.paths[number]!r}"
                raise refusal(ValueError, name, expected, tensor)

    def join(self, tensors: Sequence[np.ndarray]) -> np.ndarray:
        """One array per variable to one flat vector; see `check`."""
        self.check(tensors)
        return np.concatenate([np.reshape(t, -1) for t in tensors])
