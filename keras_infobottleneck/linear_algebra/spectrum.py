"""Eigenvalues of a matrix over weights, for sums of any function of them."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_infobottleneck.linear_algebra.lanczos import Quadrature

__all__ = ["ExactSpectrum", "QuadratureSpectrum", "Spectrum", "SpectrumPart"]

# Eigenvalues evaluated at once: with their temporaries they stay in the cache.
BLOCK = 2**14

# From eigenvalues `[n]` to several functions of them, `[functions, n]`, each zero at zero.
Functions = Callable[[np.ndarray], np.ndarray]


class Spectrum(abc.ABC):
    """Sums over the spectrum of a positive semidefinite matrix over weights."""

    @abc.abstractmethod
    def sums(self, functions: Functions) -> np.ndarray:
        """`sum_i f(eigenvalue_i)` of each function, `[rows, functions]`; rows add up.

        A row is a variable's part, the trace of `f(matrix)` over its weights, or all weights.
        """

    @abc.abstractmethod
    def error(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        """Standard error of `sum_i function(eigenvalue_i)`; 0.0 for a known spectrum."""


@dataclass(frozen=True)
class SpectrumPart:
    """Some of the eigenvalues.

    Attributes:
        values: the eigenvalues, flat.
        shares: by number of variable, how much of each eigenvector's square lies in it: `[n]`, or
            1.0 where the vectors lie in this variable.
    """

    values: np.ndarray
    shares: Mapping[int, np.ndarray | float]


@dataclass(frozen=True)
class ExactSpectrum(Spectrum):
    """All eigenvalues other than zero, and where their vectors lie.

    Attributes:
        num_variables: rows of the sums.
        parts: the eigenvalues.
    """

    num_variables: int
    parts: Sequence[SpectrumPart]

    def sums(self, functions: Functions) -> np.ndarray:
        """One row per variable, in float64."""
        totals = np.zeros([self.num_variables, len(functions(np.zeros(1)))])
        for part in self.parts:
            for start in range(0, len(part.values), BLOCK):
                span = slice(start, start + BLOCK)
                values = functions(np.asarray(part.values[span], np.float64))
                for number, share in part.shares.items():
                    totals[number] += (
                        values @ share[span] if isinstance(share, np.ndarray) else values.sum(1)
                    )
        return totals

    def error(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        """Nothing is estimated."""
        return 0.0

    def of_variable(self, number: int) -> ExactSpectrum:
        """The part of one variable, where no eigenvector lies in several."""
        parts = [
            SpectrumPart(part.values, {0: 1.0})
            for part in self.parts
            if part.shares.keys() == {number}
        ]
        return ExactSpectrum(1, parts)


@dataclass(frozen=True)
class QuadratureSpectrum(Spectrum):
    """What random vectors saw of the spectrum; it does not tell variables apart.

    Attributes:
        measures: one quadrature per vector.
    """

    measures: tuple[Quadrature, ...]

    def sums(self, functions: Functions) -> np.ndarray:
        """One row: the mean over vectors."""
        # Rounding may put a zero eigenvalue a little below zero.
        totals = [m.total(lambda nodes: functions(np.maximum(nodes, 0.0))) for m in self.measures]
        return np.mean(totals, 0)[None]

    def error(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        """Spread between vectors, and what the quadrature of each leaves open."""

        def clipped(nodes: np.ndarray) -> np.ndarray:
            return function(np.maximum(nodes, 0.0))

        return Quadrature.spread(self.measures, clipped).standard_error
