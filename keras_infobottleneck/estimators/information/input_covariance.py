"""How the inputs of a layer vary."""

from __future__ import annotations

import numpy as np

__all__ = ["covariance_root"]


def covariance_root(inputs: np.ndarray) -> np.ndarray:
    """C with `C C^T` the covariance of the inputs, `[inputs, at most examples]`.

    Raises:
        ValueError: a single example, which has none.
    """
    if len(inputs) < 2:
        raise ValueError(
            "`x` must hold at least two examples, which a covariance takes. "
            f"Received: {len(inputs)} example"
        )
    flat = inputs.reshape(len(inputs), -1).astype(np.float64)
    centred = (flat - flat.mean(0)) / np.sqrt(len(flat))
    if len(flat) <= flat.shape[1]:
        return centred.T
    values, vectors = np.linalg.eigh(centred.T @ centred)
    return vectors * np.sqrt(np.maximum(values, 0.0))
