"""One side of a Kronecker product: second moments of n numbers, or only their diagonal.

A side is an array `[groups, n, n]`, or `[groups, n]` if everything off the diagonal is treated as
zero: for a vocabulary of 50,257 words the whole matrix would take 9.4 GiB.
"""

from __future__ import annotations

import numpy as np

from keras_infobottleneck.results.archives import Archive

__all__ = [
    "Eigenvectors",
    "diagonal_of",
    "eigenvalues_of",
    "eigenvectors_of",
    "from_archive",
    "is_diagonal",
    "mean_of",
    "scaled",
    "times",
    "turned",
]

# Eigenvalues `[groups, n]` and vectors `[groups, n, n]`; None for the standard basis.
Eigenvectors = tuple[np.ndarray, np.ndarray | None]


def is_diagonal(side: np.ndarray) -> bool:
    """Whether only the diagonal is kept."""
    return side.ndim == 2


def diagonal_of(side: np.ndarray) -> np.ndarray:
    """The diagonal, `[groups, n]`."""
    return side if is_diagonal(side) else np.diagonal(side, axis1=1, axis2=2)


def scaled(side: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The side scaled on the left and on the right, with one number for each of n."""
    if is_diagonal(side):
        return side * np.square(scales)
    return scales[:, None] * side * scales


def times(left: np.ndarray, values: np.ndarray, right: np.ndarray) -> np.ndarray:
    """`left @ values @ right` for two sides and `[groups, in, out]`."""
    values = left[:, :, None] * values if is_diagonal(left) else left @ values
    return values * right[:, None, :] if is_diagonal(right) else values @ right


def eigenvalues_of(side: np.ndarray) -> np.ndarray:
    """Eigenvalues `[groups, n]` in float64; those that rounding made negative become zeros."""
    side = side.astype(np.float64)
    return np.maximum(side if is_diagonal(side) else np.linalg.eigvalsh(side), 0.0)


def eigenvectors_of(side: np.ndarray) -> Eigenvectors:
    """Eigenvalues, as in `eigenvalues_of`, and eigenvectors."""
    if is_diagonal(side):
        return eigenvalues_of(side), None
    values, vectors = np.linalg.eigh(side.astype(np.float64))
    return np.maximum(values, 0.0), vectors


def turned(
    left: np.ndarray | None, values: np.ndarray, right: np.ndarray | None, *, back: bool = False
) -> np.ndarray:
    """`[groups, in, out]` in the basis of both sides' eigenvectors, or back from it."""
    if left is not None:
        values = (left if back else left.transpose(0, 2, 1)) @ values
    if right is not None:
        values = values @ (right.transpose(0, 2, 1) if back else right)
    return values


def mean_of(mine: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """The mean of two sides, with the share of the first; a diagonal if one of them is."""
    if mine.ndim != other.ndim:
        mine, other = diagonal_of(mine), diagonal_of(other)
    return share * mine + (1.0 - share) * other


def from_archive(archive: Archive, name: str, groups: int | None = None) -> np.ndarray:
    """Reads a side from a file, where its name says whether it is a diagonal."""
    if name in archive:
        return archive.second_moments(name, (groups, None, None))
    return archive.array(f"{name}_diagonal", (groups, None), least=0)
