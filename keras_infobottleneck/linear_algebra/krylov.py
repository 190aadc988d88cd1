"""Lanczos' recurrence: an operator on the space that its products span, on the device.

A product is a pass over data, and all that the host sees of it are two numbers.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_infobottleneck.linear_algebra.stochastic_trace import Product

__all__ = ["WORKING_VECTORS", "KrylovSpace", "bytes_with", "vectors_in"]

# Vectors that a step holds beside those that are kept: three of the recurrence, and a product
# while it is made and put together.
WORKING_VECTORS = 6
# Vectors that are kept stand together in groups, for the device to read them at once.
GROUP = 8
# Entries that are added up in the vectors' own type.
SHORT = 128
# Below this many roundings of the largest entry a remainder is rounding, and its direction noise.
NOISE = 10.0


class KrylovSpace:
    """The operator on the Krylov space of a vector, as a symmetric tridiagonal matrix.

    The recurrence needs three vectors. In exact arithmetic every new vector is orthogonal to all
    before it; in floating point it is orthogonal to the last two, and what has converged comes
    back: eigenvalues appear several times over, and the same steps say less. So the first
    `num_kept` vectors are kept, and every new one is made orthogonal to them, twice. What
    converges first lies in their span, so that some of them do nearly what all do. A rule of
    quadrature from this matrix brackets its sum however many are kept.

    Attributes:
        diagonal: of the matrix, one number for each product.
        off: beside the diagonal.
        left: size of what is left outside the space, 0.0 where the space is exhausted.
        noise: eigenvalues of the matrix below this may be zeros.

    Args:
        product: operator times vector, `[size]`.
        start: where to start.
        num_kept: vectors that are kept.

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
        """Spends products until `num_steps` are spent in all, or the space is exhausted."""
        while len(self.diagonal) < num_steps and not self._is_exhausted:
            self._step()

    def matrix(self) -> np.ndarray:
        """The symmetric tridiagonal matrix."""
        return np.diag(self.diagonal) + np.diag(self.off, 1) + np.diag(self.off, -1)

    @property
    def noise(self) -> float:
        """What rounding makes of a zero, at most."""
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
    """What is new in a product, and the entry of the diagonal."""
    remainder = product - left * last
    entry = _dot(vector, remainder)
    return remainder - tf.cast(entry, vector.dtype) * vector, entry


@tf.function(reduce_retracing=True, autograph=False)
def _without(remainder: tf.Tensor, group: tf.Tensor) -> tf.Tensor:
    """What is orthogonal to the rows, which are orthogonal to each other and of unit length."""
    shares = tf.linalg.matvec(group, remainder)
    return remainder - tf.linalg.matvec(group, shares, transpose_a=True)


@tf.function(reduce_retracing=True, autograph=False)
def _with_square(entry: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """A number and the square of a vector, to be asked for at once."""
    return tf.stack([entry, _dot(vector, vector)])


def _dot(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Inner product in float64, from short sums in the vectors' own type.

    A long sum in float32 is off by so much that directions of eigenvalue zero get another one.
    """
    products = a * b
    whole = tf.size(products) // SHORT * SHORT
    sums = tf.reduce_sum(tf.reshape(products[:whole], [-1, SHORT]), 1)
    return tf.reduce_sum(tf.cast(tf.concat([sums, products[whole:]], 0), tf.float64))


def vectors_in(memory_limit: int | None, vector_bytes: int, most: int) -> int:
    """How many vectors can be kept in this many bytes, `most` of them without a limit."""
    if memory_limit is None:
        return most
    # A group is put together beside its vectors.
    return min(most, max(0, memory_limit // vector_bytes - WORKING_VECTORS - GROUP))


def bytes_with(num_kept: int, vector_bytes: int) -> int:
    """Bytes that a recurrence takes which keeps this many vectors."""
    return (WORKING_VECTORS + (GROUP + num_kept if num_kept else 0)) * vector_bytes
