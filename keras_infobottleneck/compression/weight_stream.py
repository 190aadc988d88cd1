"""The weights of a file as one stream, described once for its writer and its reader.

For each weight of the plain network, in the order of its `weights`, the stream holds its mode and
its code; if there are drawn weights, the choices of their blocks follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_infobottleneck.compression import tensor_codes
from keras_infobottleneck.compression.drawn_weights import Choices, Groups, groups, weights_of
from keras_infobottleneck.compression.integers import Coder
from keras_infobottleneck.compression.range_coder import EndOfStreamError, Reader, Writer
from keras_infobottleneck.compression.refused import DamageError

__all__ = ["CodedWeight", "read_weights", "write_choices", "write_weights"]


@dataclass
class CodedWeight:
    """How one weight is coded.

    Attributes:
        mode: One of the four of `tensor_codes`.
        shape: Shape of the weight.
        values: Values of a weight that is not drawn.
        index, integers: Step and multiples of a quantised weight.
        groups: Scales of a drawn weight.
    """

    mode: int
    shape: tuple[int, ...]
    values: np.ndarray | None = None
    index: int | None = None
    integers: np.ndarray | None = None
    groups: Groups | None = None


def write_weights(writer: Writer, weights: list[CodedWeight]) -> list[float]:
    """Codes everything but the choices; returns the bits of each weight."""
    bits = []
    for weight in weights:
        before = writer.num_bits()
        _code(writer, weight.shape, getattr(weight.values, "dtype", None), weight)
        bits.append(writer.num_bits() - before)
    return bits


def write_choices(writer: Writer, choices: Choices) -> float:
    """Codes the choices; returns their bits."""
    before = writer.num_bits()
    Choices.code(writer, choices)
    return writer.num_bits() - before


def read_weights(stream: bytes, shapes: list[tuple[tuple[int, ...], Any]]) -> list[np.ndarray]:
    """The values of all weights.

    Args:
        stream: Stream of the file.
        shapes: Shapes of the network's weights, with their types.

    Raises:
        DamageError: The stream is not one of such weights.
    """
    reader = Reader(stream)
    try:
        found = [_code(reader, shape, dtype) for shape, dtype in shapes]
        weights = _with_drawn(found, reader, most_bits=8 * len(stream) + 64)
    except EndOfStreamError:
        raise DamageError("weights that end too early") from None
    if not reader.is_at_end():
        raise DamageError("bytes after the last weight")
    return weights


@dataclass
class _DrawnWeight:
    """A weight whose values are given by the choices after all weights."""

    groups: Groups
    shape: tuple[int, ...]


def _with_drawn(
    found: list[np.ndarray | _DrawnWeight], reader: Reader, most_bits: int
) -> list[np.ndarray]:
    """The values of all weights, including the drawn ones, whose choices are read."""
    drawn = [weight for weight in found if isinstance(weight, _DrawnWeight)]
    parts = iter(_chosen(drawn, reader, most_bits) if drawn else [])
    return [next(parts) if isinstance(weight, _DrawnWeight) else weight for weight in found]


def _chosen(drawn: list[_DrawnWeight], reader: Reader, most_bits: int) -> list[np.ndarray]:
    """The values of the drawn weights, from the choices that are read."""
    choices = Choices.code(reader, most_bits=most_bits)
    spreads = [weight.groups.spread(weight.shape) for weight in drawn]
    scales, demand = (np.concatenate(parts) for parts in zip(*spreads, strict=True))
    ends = np.cumsum([len(part) for part, _ in spreads])
    parts = np.split(weights_of(choices, scales, demand), ends[:-1])
    return [part.reshape(weight.shape) for part, weight in zip(parts, drawn, strict=True)]


def _code(
    coder: Coder, shape: tuple[int, ...], dtype: Any, given: CodedWeight | None = None
) -> np.ndarray | _DrawnWeight:
    """Codes one weight: returns its values, or the groups of a drawn one."""
    kind = tensor_codes.mode(coder, None if given is None else given.mode)
    if kind == tensor_codes.DRAWN:
        return _DrawnWeight(groups(coder, shape, None if given is None else given.groups), shape)
    if kind == tensor_codes.QUANTISED:
        code = (None, None) if given is None else (given.index, given.integers)
        return tensor_codes.quantised(coder, shape, *code)
    if kind == tensor_codes.SHORT:
        return tensor_codes.short(coder, shape, None if given is None else given.values)
    return tensor_codes.exact(coder, shape, dtype, None if given is None else given.values)
