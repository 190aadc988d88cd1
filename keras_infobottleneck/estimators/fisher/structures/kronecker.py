"""One Kronecker product per kernel: second moments of what comes in and of the output gradient."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_infobottleneck.estimators.fisher.information import (
    FisherInformation,
    check_count,
    check_shift,
)
from keras_infobottleneck.linear_algebra.spectrum import ExactSpectrum, SpectrumPart
from keras_infobottleneck.results.archives import Archive
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["KroneckerBlock", "KroneckerFisher"]


@dataclass(frozen=True)
class KroneckerBlock:
    """One kernel, with its bias where it has one for every output.

    Attributes:
        kernel: number of the kernel in the order of variables.
        bias: number of the bias, -1 without.
        order: for each kernel entry its place in `[groups, in, out]`, flat.
        inputs: `[groups, in, in]`, a last row and column for the bias; sum over positions, mean
            over examples.
        outputs: `[groups, out, out]`; mean over positions and examples, sum over columns.
    """

    kernel: int
    bias: int
    order: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray

    def gather(self, tensors: Sequence[np.ndarray]) -> np.ndarray:
        """Kernel and bias to `[groups, in, out]`."""
        groups, fan_out = self.outputs.shape[:2]
        canonical = np.empty(self.order.size, self.inputs.dtype)
        canonical[self.order.reshape(-1)] = np.reshape(tensors[self.kernel], -1)
        canonical = canonical.reshape(groups, -1, fan_out)
        if self.bias < 0:
            return canonical
        bias = np.reshape(tensors[self.bias], [groups, 1, fan_out])
        return np.concatenate([canonical, bias], 1)

    def scatter(self, canonical: np.ndarray, into: list, shapes: Sequence) -> None:
        """The inverse of `gather`."""
        kernel = canonical if self.bias < 0 else canonical[:, :-1]
        into[self.kernel] = np.reshape(kernel, -1)[self.order].reshape(shapes[self.kernel])
        if self.bias >= 0:
            into[self.bias] = canonical[:, -1].reshape(shapes[self.bias])

    @functools.cached_property
    def eigenvectors(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Eigenvalues `[groups, n]` and vectors `[groups, n, n]` of both factors, in float64."""
        pairs = [np.linalg.eigh(a.astype(np.float64)) for a in (self.inputs, self.outputs)]
        return tuple((np.maximum(values, 0.0), vectors) for values, vectors in pairs)

    @functools.cached_property
    def spectrum(self) -> np.ndarray:
        """Products of the factors' eigenvalues, flat."""
        # Second moments have no negative eigenvalue; those of rounding stand for zero.
        first = np.maximum(np.linalg.eigvalsh(self.inputs.astype(np.float64)), 0.0)
        second = np.maximum(np.linalg.eigvalsh(self.outputs.astype(np.float64)), 0.0)
        return np.reshape(first[:, :, None] * second[:, None, :], -1)


@dataclass(frozen=True, repr=False)
class KroneckerFisher(FisherInformation):
    """Block-diagonal F with one Kronecker product per kernel, an approximation.

    Exact for one Dense layer and one example. For a kernel that is used at several positions,
    inputs are summed and output gradients averaged over them, as if positions were independent.
    Weights without a kernel's block (normalisations, embeddings, recurrent layers) have their
    exact diagonal.

    Attributes:
        blocks: one for each kernel.
        rest: diagonal of the other variables, by their number.
    """

    blocks: tuple[KroneckerBlock, ...]
    rest: dict[int, np.ndarray]

    structure = "kronecker"

    def diagonal(self) -> list[np.ndarray]:
        """Products of the factors' diagonals."""
        found: list = [self.rest.get(i) for i in range(len(self.variables))]
        for block in self.blocks:
            first = np.diagonal(block.inputs, axis1=1, axis2=2)
            second = np.diagonal(block.outputs, axis1=1, axis2=2)
            block.scatter(first[:, :, None] * second[:, None, :], found, self.layout.shapes)
        return found

    def matvec(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """`inputs @ V @ outputs` for each block."""
        self.layout.join(tensors)
        found: list = [None] * len(self.variables)
        for i, values in self.rest.items():
            found[i] = values * tensors[i]
        for block in self.blocks:
            product = block.inputs @ block.gather(tensors) @ block.outputs
            block.scatter(product, found, self.layout.shapes)
        return found

    def logdet(self, shift: float) -> Estimate:
        """From the factors' eigenvalues: finite for singular factors and a positive shift."""
        shift = check_shift(shift)
        spectra = [block.spectrum for block in self.blocks] + list(self.rest.values())
        with np.errstate(divide="ignore"):
            logs = (float(np.sum(np.log(np.float64(shift) + s))) for s in spectra)
            return Estimate(sum(logs))

    def eigenvalues(self, count: int | None = None) -> np.ndarray:
        """Products of the factors' eigenvalues."""
        count = check_count(count, self.size)
        spectra = [block.spectrum for block in self.blocks]
        spectra += [np.reshape(v, -1) for v in self.rest.values()]
        return np.sort(np.concatenate(spectra))[::-1][:count]

    def spectrum(self, **_: int) -> ExactSpectrum:
        """Products of the factors' eigenvalues; a bias has its share of its kernel's."""
        parts = [SpectrumPart(np.reshape(v, -1), {i: 1.0}) for i, v in self.rest.items()]
        for block in self.blocks:
            (first, vectors), (second, _) = block.eigenvectors
            values = np.reshape(first[:, :, None] * second[:, None, :], -1)
            shares = {block.kernel: 1.0}
            if block.bias >= 0:
                of_bias = np.repeat(np.square(vectors[:, -1]).reshape(-1), second.shape[1])
                shares = {block.kernel: 1.0 - of_bias, block.bias: of_bias}
            parts.append(SpectrumPart(values, shares))
        return ExactSpectrum(len(self.variables), parts)

    def power_product(self, rows: np.ndarray, exponent: float, shift: float = 0.0) -> np.ndarray:
        """By the eigenvectors of the factors, row by row."""
        shift, found = check_shift(shift), np.empty(np.shape(rows))
        rest = {i: (v.astype(np.float64) + shift) ** exponent for i, v in self.rest.items()}
        powers = []
        for block in self.blocks:
            (first, _), (second, _) = block.eigenvectors
            powers.append((first[:, :, None] * second[:, None, :] + shift) ** exponent)
        for number, row in enumerate(rows):
            tensors = self.layout.split(row)
            parts: list = [None] * len(tensors)
            for i, power in rest.items():
                parts[i] = tensors[i] * power
            for block, power in zip(self.blocks, powers, strict=True):
                (_, u), (_, v) = block.eigenvectors
                turned = u.transpose(0, 2, 1) @ block.gather(tensors) @ v
                product = u @ (turned * power) @ v.transpose(0, 2, 1)
                block.scatter(product, parts, self.layout.shapes)
            found[number] = self.layout.join(parts)
        return found

    def _merged(self, other: KroneckerFisher, num_examples: int) -> KroneckerFisher:
        a, b = self.num_examples / num_examples, other.num_examples / num_examples
        blocks = tuple(
            KroneckerBlock(
                mine.kernel,
                mine.bias,
                mine.order,
                a * mine.inputs + b * its.inputs,
                a * mine.outputs + b * its.outputs,
            )
            for mine, its in zip(self.blocks, other.blocks, strict=True)
        )
        rest = {i: a * v + b * other.rest[i] for i, v in self.rest.items()}
        error = self._merged_error(other)
        return KroneckerFisher(
            self.layout, self.labels, num_examples, blocks, rest, standard_error=error
        )

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {f"rest_{i}": v for i, v in self.rest.items()}
        for number, block in enumerate(self.blocks):
            arrays[f"block_{number}"] = np.array([block.kernel, block.bias])
            arrays[f"order_{number}"] = block.order
            arrays[f"inputs_{number}"] = block.inputs
            arrays[f"outputs_{number}"] = block.outputs
        return arrays

    @classmethod
    def _from_archive(cls, fields, archive):
        shapes, blocks = fields["layout"].shapes, []
        while f"block_{len(blocks)}" in archive:
            blocks.append(_block_from(archive, len(blocks), shapes))
        in_block = [i for block in blocks for i in (block.kernel, block.bias) if i >= 0]
        if len(set(in_block)) < len(in_block):
            archive.refuse("with two blocks of one weight")
        others = [i for i in range(len(shapes)) if i not in in_block]
        rest = {i: archive.array(f"rest_{i}", shapes[i], least=0) for i in others}
        return cls(blocks=tuple(blocks), rest=rest, **fields)


def _block_from(archive: Archive, number: int, shapes: Sequence) -> KroneckerBlock:
    """A block of a file, which must fit its weights."""
    kernel, bias = archive.array(f"block_{number}", (2,), kinds="iu").tolist()
    if not (0 <= kernel < len(shapes) and -1 <= bias < len(shapes)):
        archive.refuse(f"with block_{number} of weights that it does not name")
    order = archive.array(f"order_{number}", shapes[kernel], kinds="iu")
    inputs = archive.second_moments(f"inputs_{number}", (None, None, None))
    outputs = archive.second_moments(f"outputs_{number}", (len(inputs), None, None))
    groups, fan_out = outputs.shape[:2]
    fan_in = inputs.shape[1] - (bias >= 0)
    is_whole = np.array_equal(np.sort(order, None), np.arange(order.size))
    of_bias = groups * fan_out if bias < 0 else math.prod(shapes[bias])
    if not is_whole or order.size != groups * fan_in * fan_out or of_bias != groups * fan_out:
        archive.refuse(f"with factors in block_{number} that do not fit its weights")
    return KroneckerBlock(kernel, bias, order, inputs, outputs)
