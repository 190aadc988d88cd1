"""Names and shapes of the weights that a result is about, in the order of a flat vector."""

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
    """An ordered list of weights.

    Args:
        paths: Unique name of each weight.
        shapes: Shape of each weight.
    """

    paths: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, names: Sequence[str], tensors: Sequence[Any]) -> Layout:
        """The layout of tensors with these names."""
        return cls(tuple(names), tuple(tuple(tensor.shape) for tensor in tensors))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of entries in each weight."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def size(self) -> int:
        """Number of entries in total."""
        return sum(self.sizes)

    def split(self, flat: np.ndarray) -> list[np.ndarray]:
        """Splits the last axis into one array per weight."""
        parts = np.split(flat, np.cumsum(self.sizes)[:-1], axis=-1)
        return [
            np.reshape(part, part.shape[:-1] + shape)
            for part, shape in zip(parts, self.shapes, strict=True)
        ]

    def check(self, tensors: Sequence[np.ndarray]) -> None:
        """Checks that there is one array of finite numbers for each weight.

        Raises:
            TypeError: `tensors` is not a list, or an entry does not hold numbers.
            ValueError: The number of arrays or a shape is wrong, or an entry is not finite.
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
        """Joins one array per weight into a flat vector, after `check`."""
        self.check(tensors)
        return np.concatenate([np.reshape(t, -1) for t in tensors])
