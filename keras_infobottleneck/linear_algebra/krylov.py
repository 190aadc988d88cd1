"""Lanczos' recurrence on the device: a symmetric operator restricted to a Krylov space.

A product is a pass over data; the host receives two numbers for each.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_infobottleneck.linear_algebra.stochastic_trace import Product

__all__ = ["WORKING_VECTORS", "KrylovSpace", "bytes_with", "vectors_in"]

# Vectors in memory during a step beside the kept ones: three of the recurrence, and those needed
# while a product is computed and assembled.
WORKING_VECTORS = 6
# Kept vectors are stacked in groups, so that the device reads them at once.
GROUP = 8
# Number of entries that are added up in the vectors' own type.
SHORT = 128
# A remainder below this many roundings of the largest entry is noise without a direction.
NOISE = 10.0


class KrylovSpace:
    """The operator on the Krylov space of a vector, as a symmetric tridiagonal matrix.

    The recurrence needs three vectors. In exact arithmetic every new vector is orthogonal to all
    before it. In floating point it is orthogonal to the last two only, and directions that have
    converged come back: eigenvalues appear several times, and the same number of steps tells less.
    So the first `num_kept` vectors are kept, and every new one is orthogonalised against them,
    twice. The directions that converge first lie in their span, so that keeping some vectors does
    nearly as well as keeping all. The bracket of a quadrature from this matrix is valid however
    many are kept.

    Attributes:
        diagonal: Diagonal of the matrix, one number for each product.
        off: Entries beside the diagonal.
        left: Norm of the remainder outside the space; 0.0 if the space is exhausted.
        noise: Bound below which eigenvalues of the matrix may be zeros with rounding errors.

    Args:
        product: Function that multiplies the operator with a vector `[size]`.
        start: Vector to start from.
        num_kept: Number of vectors that are kept.

    References:
        Greenbaum, 1989, "Behavior of slightly perturbed Lanczos and conjugate-gradient
        recurrences"; Meurant & Strakos, 2006, "The Lanczos and conjugate gradient algorithms in
        finite precision arithmetic".
    """

    def __init__(self, product: Product, start: tf.Tensor, num_kept: int):
        self.diagonal: list[float] = []
        self.off: list[float] = []
        self.left = 0.0
        self._is_exhausted = False
        self._product, self._num_kept = product, num_kept
        self._groups: list[tf.Tensor] = []  # `[GROUP, size]` each
        self._single: list[tf.Tensor] = []
        self._last = tf.zeros_like(start)
        self._vector = start / tf.cast(tf.sqrt(_dot(start, start)), start.dtype)

    def grow(self, num_steps: int) -> None:
        """Computes products until there are `num_steps` in all, or the space is exhausted."""
        while len(self.diagonal) < num_steps and not self._is_exhausted:
            self._step()

    def matrix(self) -> np.ndarray:
        """The symmetric tridiagonal matrix."""
        return np.diag(self.diagonal) + np.diag(self.off, 1) + np.diag(self.off, -1)

    @property
    def noise(self) -> float:
        """Largest eigenvalue that rounding can make of a zero."""
        eps = np.finfo(self._vector.dtype.as_numpy_dtype).eps
        return NOISE * float(eps) * max([abs(d) for d in self.diagonal] + self.off)

    def _step(self) -> None:
        vector = self._vector
        if self.diagonal:
            self.off.append(self.left)
        if len(self.diagonal) < self._num_kept:
            self._keep(vector)
        left = tf.constant(self.left, vector.dtype)
        remainder, entry = _advanced(self._product(vector), vector, self._last, left)
        groups = [*self._groups, tf.stack(self._single)] if self._single else self._groups
        for _ in range(2):
            for group in groups:
                remainder = _without(remainder, group)
        entry, square = _with_square(entry, remainder).numpy()
        self.diagonal.append(float(entry))
        self.left = float(np.sqrt(square))
        if self.left <= self.noise:
            self.left, self._is_exhausted = 0.0, True
            return
        self._last, self._vector = vector, remainder / tf.constant(self.left, vector.dtype)

    def _keep(self, vector: tf.Tensor) -> None:
        self._single.append(vector)
        if len(self._single) == GROUP:
            self._groups.append(tf.stack(self._single))
            self._single = []


@tf.function(reduce_retracing=True, autograph=False)
def _advanced(
    product: tf.Tensor, vector: tf.Tensor, last: tf.Tensor, left: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The remainder of a product after two vectors are removed, and the entry of the diagonal."""
    remainder = product - left * last
    entry = _dot(vector, remainder)
    return remainder - tf.cast(entry, vector.dtype) * vector, entry


@tf.function(reduce_retracing=True, autograph=False)
def _without(remainder: tf.Tensor, group: tf.Tensor) -> tf.Tensor:
    """The remainder orthogonal to the rows of a group, which are orthonormal."""
    shares = tf.linalg.matvec(group, remainder)
    return remainder - tf.linalg.matvec(group, shares, transpose_a=True)


@tf.function(reduce_retracing=True, autograph=False)
def _with_square(entry: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """A number and the squared norm of a vector, in one tensor that the host reads at once."""
    return tf.stack([entry, _dot(vector, vector)])


def _dot(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Inner product in float64, from short sums in the vectors' own type.

    A long sum in float32 has errors large enough to turn zero eigenvalues into others.
    """
    products = a * b
    whole = tf.size(products) // SHORT * SHORT
    sums = tf.reduce_sum(tf.reshape(products[:whole], [-1, SHORT]), 1)
    return tf.reduce_sum(tf.cast(tf.concat([sums, products[whole:]], 0), tf.float64))


def vectors_in(memory_limit: int | None, vector_bytes: int, most: int) -> int:
    """Number of vectors that fit in this many bytes, at most `most`; `most` without a limit."""
    if memory_limit is None:
        return most
    # While a group is stacked, its vectors are in memory twice.
    return min(most, max(0, memory_limit // vector_bytes - WORKING_VECTORS - GROUP))


def bytes_with(num_kept: int, vector_bytes: int) -> int:
    """Bytes that a recurrence with this many kept vectors takes."""
    return (WORKING_VECTORS + (GROUP + num_kept if num_kept else 0)) * vector_bytes
