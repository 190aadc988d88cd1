"""The Kronecker product of one kernel, and its scale."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_infobottleneck.estimators.fisher.structures.kronecker_side import (
    Eigenvectors,
    diagonal_of,
    eigenvalues_of,
    eigenvectors_of,
    from_archive,
    mean_of,
    scaled,
)
from keras_infobottleneck.results.archives import Archive

__all__ = ["KroneckerBlock"]

FORMS = ("expand", "reduce", "mixed")


@dataclass(frozen=True)
class KroneckerBlock:
    """One kernel, with its bias if that has one entry for every output.

    Attributes:
        kernel: Number of the kernel in the order of variables.
        bias: Number of the bias; -1 without one.
        order: For each kernel entry its index in flat `[groups, in, out]`.
        inputs: `[groups, in, in]`, with a last row and column for the bias; mean over examples. In
            the form "expand" it is a sum over positions; in "reduce" it is of inputs summed over
            positions, divided by the number of positions.
        outputs: `[groups, out, out]`; mean over examples, sum over columns. In the form "expand" it
            is a mean over positions; in "reduce" it is of gradients summed over positions, divided
            by the number of positions. Of a wide side only the diagonal is kept, `[groups, n]`.
        traces: Exact traces of the kernel and of the bias, to which the factors are scaled; None
            for results of version 0.1.0, which are not scaled.
        form: "expand", "reduce", or "mixed" if results of both forms were merged.
    """

    kernel: int
    bias: int
    order: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray
    traces: np.ndarray | None = None
    form: str = "expand"

    @functools.cached_property
    def factor_traces(self) -> np.ndarray:
        """Traces of kernel and bias according to the factors, before they are scaled."""
        second = diagonal_of(self.outputs).sum(1, dtype=np.float64)
        first = diagonal_of(self.inputs).astype(np.float64)
        if self.bias < 0:
            return np.array([second @ first.sum(1), 0.0])
        return np.array([second @ first[:, :-1].sum(1), second @ first[:, -1]])

    @property
    def exact_traces(self) -> np.ndarray:
        """Exact traces of kernel and bias; those of the factors if no others are known."""
        return self.factor_traces if self.traces is None else self.traces

    @functools.cached_property
    def scaled_inputs(self) -> np.ndarray:
        """`inputs`, scaled on both sides so that kernel and bias have their exact traces."""
        if self.traces is None:
            return self.inputs
        # If the factors vanish, no scale can give the exact trace.
        ratios = np.divide(
            self.traces, self.factor_traces, out=np.ones(2), where=self.factor_traces > 0
        )
        scales = np.full(self.inputs.shape[-1], np.sqrt(ratios[0]), self.inputs.dtype)
        if self.bias >= 0:
            scales[-1] = np.sqrt(ratios[1])
        return scaled(self.inputs, scales)

    def merged(self, other: KroneckerBlock, share: float) -> KroneckerBlock:
        """The mean over both, where this block has the given share of the examples."""
        rest = 1.0 - share
        return KroneckerBlock(
            self.kernel,
            self.bias,
            self.order,
            mean_of(self.inputs, other.inputs, share),
            mean_of(self.outputs, other.outputs, share),
            share * self.exact_traces + rest * other.exact_traces,
            self.form if self.form == other.form else "mixed",
        )

    def gather(self, tensors: Sequence[np.ndarray]) -> np.ndarray:
        """Kernel and bias as `[groups, in, out]`."""
        groups, fan_out = self.outputs.shape[:2]
        canonical = np.empty(self.order.size, self.inputs.dtype)
        canonical[self.order.reshape(-1)] = np.reshape(tensors[self.kernel], -1)
        canonical = canonical.reshape(groups, -1, fan_out)
        if self.bias < 0:
            return canonical
        bias = np.reshape(tensors[self.bias], [groups, 1, fan_out])
        return np.concatenate([canonical, bias], 1)

    def scatter(
        self, canonical: np.ndarray, into: list[Any], shapes: Sequence[tuple[int, ...]]
    ) -> None:
        """The inverse of `gather`."""
        kernel = canonical if self.bias < 0 else canonical[:, :-1]
        into[self.kernel] = np.reshape(kernel, -1)[self.order].reshape(shapes[self.kernel])
        if self.bias >= 0:
            into[self.bias] = canonical[:, -1].reshape(shapes[self.bias])

    @functools.cached_property
    def eigenvectors(self) -> tuple[Eigenvectors, Eigenvectors]:
        """Eigenvalues and vectors of both sides, in float64."""
        return eigenvectors_of(self.scaled_inputs), eigenvectors_of(self.outputs)

    @functools.cached_property
    def spectrum(self) -> np.ndarray:
        """Products of the factors' eigenvalues, flat."""
        first, second = eigenvalues_of(self.scaled_inputs), eigenvalues_of(self.outputs)
        return np.reshape(first[:, :, None] * second[:, None, :], -1)

    @classmethod
    def from_archive(
        cls, archive: Archive, number: int, shapes: Sequence[tuple[int, ...]]
    ) -> KroneckerBlock:
        """Reads a block from a file; it must fit its weights."""
        kernel, bias = archive.array(f"block_{number}", (2,), kinds="iu").tolist()
        if not (0 <= kernel < len(shapes) and -1 <= bias < len(shapes)):
            archive.refuse(f"with block_{number} of weights that it does not name")
        order = archive.array(f"order_{number}", shapes[kernel], kinds="iu")
        inputs = from_archive(archive, f"inputs_{number}")
        outputs = from_archive(archive, f"outputs_{number}", len(inputs))
        groups, fan_out = outputs.shape[:2]
        fan_in = inputs.shape[1] - (bias >= 0)
        is_whole = np.array_equal(np.sort(order, None), np.arange(order.size))
        of_bias = groups * fan_out if bias < 0 else math.prod(shapes[bias])
        if not is_whole or order.size != groups * fan_in * fan_out or of_bias != groups * fan_out:
            archive.refuse(f"with factors in block_{number} that do not fit its weights")
        if f"traces_{number}" not in archive:  # a file of version 0.1.0
            return cls(kernel, bias, order, inputs, outputs)
        traces = archive.array(f"traces_{number}", (2,), least=0)
        form = archive.text(f"form_{number}", FORMS)
        return cls(kernel, bias, order, inputs, outputs, traces, form)
