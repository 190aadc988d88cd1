"""64-bit fingerprints by which examples and weights are known again."""

import hashlib
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

__all__ = ["example_fingerprints", "weight_fingerprints"]


def example_fingerprints(x: Any, y: Any = ()) -> tuple[np.ndarray, np.ndarray]:
    """One fingerprint per example of a batch, int64 of shape ``[batch]``: of x, and of x with y.

    Equal examples have equal fingerprints whatever the width of their numbers, or the sign of
    their zeros: values are hashed as float32.

    Args:
        x: inputs, an array or a nest of arrays.
        y: labels, likewise.

    Raises:
        TypeError: other things than numbers.
        ValueError: no row for each example, or arrays of unequal length.
    """
    inputs, labels = ([_numbers(a) for a in keras.tree.flatten(part)] for part in (x, y))
    if len({len(array) for array in inputs + labels}) != 1:
        raise ValueError(
            "`data` must hold as many inputs as targets. "
            f"Received: {[len(array) for array in inputs + labels]} examples"
        )
    digests = [hashlib.blake2b(row, digest_size=8) for row in _rows(inputs)]
    of_inputs = _integers([digest.digest() for digest in digests])
    for digest, row in zip(digests, _rows(labels), strict=False):
        digest.update(row)
    return of_inputs, _integers([digest.digest() for digest in digests])


def weight_fingerprints(weights: Iterable[keras.Variable]) -> np.ndarray:
    """One fingerprint per weight tensor, int64: of every bit of its values."""
    return _integers(
        [hashlib.blake2b(w.numpy().tobytes(), digest_size=8).digest() for w in weights]
    )


def _rows(arrays: list[np.ndarray]) -> list[memoryview]:
    """The bytes of each example, of all arrays one behind the other; no copy of a single one."""
    if not arrays or len(arrays[0]) == 0:
        return []
    flat = [np.ascontiguousarray(a).reshape(len(a), -1).view(np.uint8) for a in arrays]
    joined = flat[0] if len(flat) == 1 else np.concatenate(flat, 1)
    size, view = joined.shape[1], joined.reshape(-1).data
    return [view[row * size : (row + 1) * size] for row in range(len(joined))]


def _integers(digests: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digests), "int64").copy()


def _numbers(array: Any) -> np.ndarray:
    """As float32, one row for each example."""
    try:
        array = np.asarray(array, "float32")
    except (TypeError, ValueError):
        raise TypeError(
            f"`data` must hold numbers. Received: {type(array).__name__} of other things"
        ) from None
    if array.ndim == 0:
        raise ValueError(
            "`data` must hold arrays, or batches, with a row for each example. "
            f"Received: the single number {array}"
        )
    return array + np.float32(0.0)  # -0.0 has other bits than 0.0
