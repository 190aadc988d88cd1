"""Lanczos' method: what a symmetric operator's spectrum looks like from a few products with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_infobottleneck.linear_algebra.stochastic_trace import Product, probe
from keras_infobottleneck.results.estimate import Estimate
from keras_infobottleneck.results.few_draws import error_of_draws

__all__ = ["Quadrature", "largest_eigenvalues", "quadratures", "spectral_sum", "tridiagonal"]


@dataclass(frozen=True)
class Quadrature:
    """What one random vector saw of a spectrum: `sum_i weights[i] f(nodes[i])` estimates the sum.

    Attributes:
        nodes: where a function is to be evaluated.
        weights: what its values count; they add up to the size of the matrix.
        other: a second rule for the same sum, None where the first is exact. Of a positive
            semidefinite matrix it is Gauss-Radau's with a node at zero: where all even derivatives
            of the function are negative and all odd ones positive, as of a logarithm, the two rules
            lie on either side of what they estimate. Of another matrix it is the rule of one step
            less.
        is_bracket: whether the two are to lie on either side; the estimate is then their middle.
    """

    nodes: np.ndarray
    weights: np.ndarray
    other: Quadrature | None = None
    is_bracket: bool = False

    def total(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The estimate of `sum_i function(eigenvalue_i)`, of one function or of several."""
        total = function(self.nodes) @ self.weights
        if self.other is None or not self.is_bracket:
            return total
        return 0.5 * (total + self.other.total(function))

    def gap(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        """How far the rule itself may be off: half of the bracket, or the last step's change."""
        return abs(self.total(function) - self.other.total(function)) if self.other else 0.0

    @staticmethod
    def spread(
        measures: Sequence[Quadrature], function: Callable[[np.ndarray], np.ndarray]
    ) -> Estimate:
        """Mean over vectors; its error holds their spread and what the rules leave open."""
        totals = [float(measure.total(function)) for measure in measures]
        gaps = [measure.gap(function) for measure in measures]
        error = np.hypot(error_of_draws(totals), np.mean(gaps))
        return Estimate(float(np.mean(totals)), float(error))


def tridiagonal(
    product: Product, start: tf.Tensor, num_steps: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """The operator on the Krylov space of `start`, as a symmetric tridiagonal matrix.

    Every new vector is made orthogonal to all before it, twice: `num_steps` vectors are kept.

    Args:
        product: operator times vector, `[size]`.
        start: where to start.
        num_steps: products spent; fewer where the space is exhausted.

    Returns:
        Diagonal, off-diagonal, and the size of what is left outside the space.
    """
    diagonal: list[float] = []
    off: list[float] = []
    vector = start.numpy() / np.linalg.norm(start.numpy())
    # On the host: a basis of many vectors is what a device has least room for.
    basis = np.empty([num_steps, len(vector)], vector.dtype)
    left = 0.0
    for step in range(num_steps):
        basis[step] = vector
        # A copy: what a tensor lends to NumPy is not to be written to.
        remainder = product(tf.constant(vector)).numpy().copy()
        diagonal.append(float(vector @ remainder))
        for _ in range(2):
            remainder -= (basis[: step + 1] @ remainder) @ basis[: step + 1]
        left = float(np.linalg.norm(remainder))
        # Below this a remainder is rounding, and its direction noise.
        scale = max([abs(d) for d in diagonal] + off)
        if left <= 10.0 * np.finfo(vector.dtype).eps * scale:
            left = 0.0
            break
        if step + 1 < num_steps:
            off.append(left)
            vector = remainder / left
    return np.array(diagonal), np.array(off), left


def quadratures(
    product: Product,
    size: int,
    *,
    num_probes: int,
    num_steps: int,
    seed: int,
    dtype: tf.DType,
    is_semidefinite: bool = False,
) -> tuple[Quadrature, ...]:
    """One quadrature per random vector, `num_probes * num_steps` products in all.

    Args:
        product: operator times vector.
        size: length of the vectors.
        num_probes: random vectors, at least 2.
        num_steps: products for each.
        seed: of the random vectors.
        dtype: of the vectors.
        is_semidefinite: whether no eigenvalue is negative, so that each rule can be bracketed.

    References:
        Ubaru, Chen & Saad, 2017, "Fast estimation of tr(f(A)) via stochastic Lanczos quadrature";
        Golub & Meurant, 2010, "Matrices, moments and quadrature", Section 6.2, for the bracket.
    """
    found = []
    for number in range(num_probes):
        start = probe(size, seed, number, dtype)
        diagonal, off, left = tridiagonal(product, start, num_steps)
        other = None
        if left and is_semidefinite:
            other = _radau(diagonal, off, left, size)
        elif left:
            other = _gauss(diagonal[:-1], off[:-1], size)
        nodes, weights = _rule(diagonal, off, size)
        is_bracket = other is not None and is_semidefinite
        found.append(Quadrature(nodes, weights, other, is_bracket))
    return tuple(found)


def spectral_sum(
    product: Product,
    size: int,
    function: Callable[[np.ndarray], np.ndarray],
    **options: Any,
) -> Estimate:
    """`sum_i function(eigenvalue_i)` by stochastic Lanczos quadrature.

    Unbiased over probes up to the quadrature, which is exact once `num_steps` reaches the number
    of distinct eigenvalues. The standard error holds the spread between probes and what the
    quadrature leaves open: half of its bracket, or the change that its last step made.

    Args:
        product: operator times vector.
        size: length of the vectors.
        function: of an array of eigenvalues.
        options: as of `quadratures`.
    """
    return Quadrature.spread(quadratures(product, size, **options), function)


def _rule(diagonal: np.ndarray, off: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the Gauss quadrature in the starting vector's spectral measure."""
    if len(diagonal) == 0:
        return np.zeros(0), np.zeros(0)
    values, vectors = np.linalg.eigh(_matrix(diagonal, off))
    return values, size * vectors[0] ** 2


def _gauss(diagonal: np.ndarray, off: np.ndarray, size: int) -> Quadrature:
    """The Gauss quadrature."""
    return Quadrature(*_rule(diagonal, off, size))


def _radau(diagonal: np.ndarray, off: np.ndarray, left: float, size: int) -> Quadrature:
    """The rule of one node more, which is at zero."""
    # The last entry that makes zero an eigenvalue of the extended matrix.
    unit = np.zeros(len(diagonal))
    unit[-1] = left**2
    step = np.linalg.lstsq(_matrix(diagonal, off), unit, rcond=None)[0]
    values, weights = _rule(np.append(diagonal, step[-1]), np.append(off, left), size)
    # That eigenvalue as it is meant, without its rounding.
    values[np.argmin(np.abs(values))] = 0.0
    return Quadrature(values, weights)


def largest_eigenvalues(
    product: Product,
    size: int,
    count: int,
    *,
    tolerance: float,
    max_steps: int,
    seed: int,
    dtype: tf.DType,
) -> np.ndarray:
    """The `count` eigenvalues of largest magnitude, by magnitude descending.

    Each is within `tolerance` times the largest of an eigenvalue. One vector is started from, so
    that an eigenvalue of multiplicity two is found once, and fewer than `count` are given where no
    more are distinct.

    Raises:
        ValueError: the tolerance is not met within `max_steps` products.
    """
    steps = min(size, max(2 * count + 8, 16))
    while True:
        start = probe(size, seed, 0, dtype)
        diagonal, off, left = tridiagonal(product, start, min(steps, max_steps))
        values, vectors = np.linalg.eigh(_matrix(diagonal, off))
        order = np.argsort(-np.abs(values))[:count]
        residuals = left * np.abs(vectors[-1, order])
        if np.all(residuals <= tolerance * np.abs(values[order[0]])):
            return values[order]
        if steps >= min(max_steps, size):
            raise ValueError(
                f"The largest {count} eigenvalues need more than {len(diagonal)} products for "
                f"tolerance={tolerance}; raise `max_steps`. Received: max_steps={max_steps}"
            )
        steps *= 2


def _matrix(diagonal: np.ndarray, off: np.ndarray) -> np.ndarray:
    """The symmetric tridiagonal matrix."""
    return np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1)
