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
    of_inputs, of_examples = [], []
    for row in range(len(inputs[0])):
        digest = hashlib.blake2b(b"".join(a[row].tobytes() for a in inputs), digest_size=8)
        of_inputs.append(digest.digest())
        digest.update(b"".join(a[row].tobytes() for a in labels))
        of_examples.append(digest.digest())
    return _integers(of_inputs), _integers(of_examples)


def weight_fingerprints(weights: Iterable[keras.Variable]) -> np.ndarray:
    """One fingerprint per weight tensor, int64: of every bit of its values."""
    return _integers(
        [hashlib.blake2b(w.numpy().tobytes(), digest_size=8).digest() for w in weights]
    )


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
