"""A symmetric matrix over a model's weights, known by its products with vectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import (
    check_choice,
    check_count,
    check_positive,
    check_price,
    check_probes,
)
from keras_infobottleneck.arguments.memory import available_bytes, mebibytes
from keras_infobottleneck.linear_algebra.lanczos import (
    Quadrature,
    largest_eigenvalues,
    quadratures,
)
from keras_infobottleneck.linear_algebra.layout import Layout
from keras_infobottleneck.linear_algebra.stochastic_trace import (
    XTRACE_VECTORS,
    hutchinson_trace,
    probe,
    xtrace,
)
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["DEFAULT_VECTORS", "TRACE_METHODS", "Operator"]

TRACE_METHODS = ("xtrace", "hutchinson")
# Number of vectors for 20 steps of Lanczos' method, or for XTrace with 8 probes, if they fit.
DEFAULT_VECTORS = 32


@dataclass(frozen=True)
class Operator:
    """A symmetric matrix, known by its products; each product costs one pass over the data.

    Attributes:
        layout: Paths and shapes of the weights.
        of_tensors: The matrix times a vector, both given as one tensor per variable.
        dtype: Type of the vectors.
        is_semidefinite: Whether no eigenvalue is negative.
        memory_limit: Bytes for vectors; None for half of the free memory.
    """

    layout: Layout
    of_tensors: Callable[[list[tf.Tensor]], list[tf.Tensor]]
    dtype: tf.DType
    is_semidefinite: bool = False
    memory_limit: int | None = None

    def matvec(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The exact product with a vector given as one array per variable."""
        self.layout.check(tensors)
        products = self.of_tensors([tf.constant(t, self.dtype) for t in tensors])
        found = [p.numpy() for p in products]
        self._check_finite(all(np.all(np.isfinite(p)) for p in found))
        return found

    def mixed(self, share: float, other: Operator, other_share: float) -> Operator:
        """The sum of multiples of two matrices over the same weights."""

        def product(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
            mine, its = self.of_tensors(tensors), other.of_tensors(tensors)
            return [share * v + other_share * w for v, w in zip(mine, its, strict=True)]

        return dataclasses.replace(self, of_tensors=product)

    def product(self, flat: tf.Tensor) -> tf.Tensor:
        """The product with a flat vector `[size]`."""
        parts = tf.split(flat, self.layout.sizes)
        products = self.of_tensors(
            [tf.reshape(p, shape) for p, shape in zip(parts, self.layout.shapes, strict=True)]
        )
        joined = tf.concat([tf.reshape(p, [-1]) for p in products], 0)
        # One check per product, on the joined vector, so that the host waits only once.
        self._check_finite(bool(tf.reduce_all(tf.math.is_finite(joined))))
        return joined

    def _check_finite(self, is_finite: bool) -> None:
        """Refuses a product that is not finite."""
        if not is_finite:
            raise ValueError(
                "Products must be finite; look for NaN in the data, labels outside the "
                "classes or overflow. Received: a product that is not finite"
            )

    @property
    def _vector_bytes(self) -> int:
        """Bytes of one vector."""
        return self.layout.size * self.dtype.size

    def _limit(self) -> int | None:
        """Bytes that vectors may take now; None if unknown."""
        if self.memory_limit is not None:
            return self.memory_limit
        free = available_bytes()
        return None if free is None else free // 2  # the other half is left to the passes over data

    def trace(
        self,
        *,
        method: Literal["xtrace", "hutchinson"] = "xtrace",
        num_probes: int = 8,
        seed: int = 0,
    ) -> Estimate:
        """Unbiased estimate of the trace; XTrace costs two products per probe, Hutchinson one."""
        check_choice("method", method, TRACE_METHODS)
        check_probes(num_probes, seed=seed)
        need = XTRACE_VECTORS * min(num_probes, self.layout.size) * self._vector_bytes
        limit = available_bytes() if self.memory_limit is None else self.memory_limit
        if method == "xtrace" and limit is not None and need > limit:
            where = "free memory of " if self.memory_limit is None else "memory_limit="
            raise ValueError(
                f"method='xtrace' with {num_probes} probes needs {mebibytes(need)}; "
                "method='hutchinson' needs a few vectors, and has a larger error. "
                f"Received: {where}{mebibytes(limit)}"
            )
        estimator = xtrace if method == "xtrace" else hutchinson_trace
        return estimator(
            self.product, self.layout.size, num_probes=num_probes, seed=seed, dtype=self.dtype
        )

    def diagonals(self, *, num_probes: int = 8, seed: int = 0) -> Iterator[np.ndarray]:
        """Unbiased estimates `[size]` of the diagonal, one for each vector of random signs."""
        check_probes(num_probes, seed=seed)
        for number in range(num_probes):
            v = probe(self.layout.size, seed, number, self.dtype)
            yield (v * self.product(v)).numpy()

    def quadratures(
        self, *, num_probes: int = 8, num_steps: int = 20, seed: int = 0
    ) -> tuple[Quadrature, ...]:
        """Quadratures of the spectrum, one per random vector, for sums of any function of it.

        As many vectors of Lanczos' recurrence are kept as fit in memory, which makes the same
        number of steps more precise; see `quadratures`.
        """
        check_probes(num_probes, num_steps, seed)
        return quadratures(
            self.product,
            self.layout.size,
            num_probes=num_probes,
            num_steps=num_steps,
            seed=seed,
            dtype=self.dtype,
            is_semidefinite=self.is_semidefinite,
            memory_limit=self._limit(),
        )

    def spectral_sum(
        self, function: Callable[[np.ndarray], np.ndarray], **options: int
    ) -> Estimate:
        """`sum_i function(eigenvalue_i)` by stochastic Lanczos quadrature.

        The error is widened for few probes, whose spread is itself uncertain (by a quarter for 8):
        1.96 of it cover the truth in about 95 of 100 cases.
        """
        return Quadrature.spread(self.quadratures(**options), function)

    def logdet(self, shift: float, **options: int) -> Estimate:
        """`log det(A + shift I)`; its part `size * log(shift)` is exact, the rest is estimated.

        Raises:
            ValueError: The shifted matrix is not positive definite.
        """
        shift = check_positive("shift", shift)

        def logarithm(eigenvalues: np.ndarray) -> np.ndarray:
            if self.is_semidefinite:
                # Rounding can make a zero eigenvalue slightly negative.
                eigenvalues = np.maximum(eigenvalues, 0.0)
            elif eigenvalues.min() <= -shift:
                raise ValueError(
                    "The shifted matrix must be positive definite; `shift` must exceed "
                    f"{-eigenvalues.min():.6g}. Received: shift={shift}"
                )
            return np.log1p(eigenvalues / shift)

        rest = self.spectral_sum(logarithm, **options)
        return Estimate(self.layout.size * np.log(shift) + rest, rest.standard_error)

    def eigenvalues(
        self, count: int, *, tolerance: float = 1e-3, max_steps: int = 100, seed: int = 0
    ) -> np.ndarray:
        """The `count` eigenvalues of largest magnitude, by Lanczos' method."""
        check_count("count", count, most=self.layout.size)
        check_count("max_steps", max_steps)
        check_price("tolerance", tolerance)
        check_count("seed", seed, 0)
        return largest_eigenvalues(
            self.product,
            self.layout.size,
            count,
            tolerance=tolerance,
            max_steps=max_steps,
            seed=seed,
            dtype=self.dtype,
            memory_limit=self._limit(),
        )
