"""Eigenvalues of a matrix over weights, for sums of any function of the eigenvalues."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_infobottleneck.linear_algebra.lanczos import Quadrature

__all__ = ["ExactSpectrum", "QuadratureSpectrum", "Spectrum", "SpectrumPart"]

# Number of eigenvalues evaluated at once; with their temporaries they fit in the cache.
BLOCK = 2**14

# Maps eigenvalues `[n]` to several functions of them, `[functions, n]`, each zero at zero.
Functions = Callable[[np.ndarray], np.ndarray]


class Spectrum(abc.ABC):
    """Sums over the spectrum of a positive semidefinite matrix over weights."""

    @abc.abstractmethod
    def sums(self, functions: Functions) -> np.ndarray:
        """`sum_i f(eigenvalue_i)` for each function, `[rows, functions]`; rows add up to the total.

        There is one row per variable, with the trace of `f(matrix)` over its weights, or one row
        for all weights.
        """

    @abc.abstractmethod
    def error(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        """Standard error of `sum_i function(eigenvalue_i)`; 0.0 for a known spectrum."""


@dataclass(frozen=True)
class SpectrumPart:
    """Some of the eigenvalues.

    Attributes:
        values: The eigenvalues, flat.
        shares: By the number of a variable, the fraction of each squared eigenvector that lies in
            it: `[n]`, or 1.0 if the vectors lie entirely in this variable.
    """

    values: np.ndarray
    shares: Mapping[int, np.ndarray | float]


@dataclass(frozen=True)
class ExactSpectrum(Spectrum):
    """All eigenvalues other than zero, and how their vectors are distributed over variables.

    Attributes:
        num_variables: Number of rows of the sums.
        parts: The eigenvalues.
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
        """0.0, because nothing is estimated."""
        return 0.0

    def of_variable(self, number: int) -> ExactSpectrum:
        """The spectrum of one variable, if no eigenvector is spread over several."""
        parts = [
            SpectrumPart(part.values, {0: 1.0})
            for part in self.parts
            if part.shares.keys() == {number}
        ]
        return ExactSpectrum(1, parts)


@dataclass(frozen=True)
class QuadratureSpectrum(Spectrum):
    """A spectrum estimated by random vectors; it does not distinguish variables.

    Attributes:
        measures: One quadrature per random vector.
    """

    measures: tuple[Quadrature, ...]

    def sums(self, functions: Functions) -> np.ndarray:
        """One row: the mean over random vectors."""
        # Rounding can make a zero eigenvalue slightly negative.
        totals = [m.total(lambda nodes: functions(np.maximum(nodes, 0.0))) for m in self.measures]
        return np.mean(totals, 0)[None]

    def error(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        """Standard error from the spread between vectors and the error of each quadrature."""

        def clipped(nodes: np.ndarray) -> np.ndarray:
            return function(np.maximum(nodes, 0.0))

        return Quadrature.spread(self.measures, clipped).standard_error
