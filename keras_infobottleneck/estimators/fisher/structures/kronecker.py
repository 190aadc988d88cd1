"""One Kronecker product per kernel: second moments of inputs and of output gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_price, check_probes
from keras_infobottleneck.estimators.fisher.information import (
    FisherInformation,
    register_structure,
)
from keras_infobottleneck.estimators.fisher.measurement import Measurement
from keras_infobottleneck.estimators.fisher.rules.kernel import KEPT_BYTES
from keras_infobottleneck.estimators.fisher.score_products import ScoreProducts
from keras_infobottleneck.estimators.fisher.scores import Scores
from keras_infobottleneck.estimators.fisher.structures.kronecker_block import KroneckerBlock
from keras_infobottleneck.estimators.fisher.structures.kronecker_factors import (
    BlockPlan,
    choose_forms,
    factor_sums,
    from_upper_blocks,
    plan_blocks,
    sides_of,
    with_bias,
)
from keras_infobottleneck.estimators.fisher.structures.kronecker_products import products_by_blocks
from keras_infobottleneck.estimators.fisher.structures.kronecker_side import (
    diagonal_of,
    is_diagonal,
    times,
    turned,
)
from keras_infobottleneck.linear_algebra.spectrum import ExactSpectrum, SpectrumPart
from keras_infobottleneck.results.archives import Archive
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["KroneckerFisher"]

# Number of float64 matrices needed for eigenvectors: a copy, the vectors, the solver's work.
EIGEN_COPIES = 4


@dataclass(frozen=True, repr=False)
class KroneckerFisher(FisherInformation):
    """Block-diagonal F with one Kronecker product per kernel, scaled to exact traces.

    This is an approximation, except for the trace of every variable, which is exact. If a kernel is
    used at several positions, its factors have one of two forms: "expand" treats positions as
    independent, "reduce" suits networks that sum or average over them. The form is chosen whose
    trace was nearer to the exact one on the first examples; `factors()` shows the form, and the
    ratio of the factors' trace to the exact one before they were scaled. A factor wider than
    `max_side`, such as that of a vocabulary, is diagonal, which `factors()` shows too. Weights
    without a kernel's block (normalisations, embeddings, recurrent layers) have their exact
    diagonal.

    Attributes:
        blocks: One for each kernel.
        rest: Diagonal of the other variables, by their number.

    References:
        Martens & Grosse, 2015, arXiv 1503.05671; Grosse & Martens, 2016, arXiv 1602.01407;
        Eschenhagen et al., 2023, arXiv 2311.00636, for the two forms.
    """

    blocks: tuple[KroneckerBlock, ...]
    rest: dict[int, np.ndarray]

    structure = "kronecker"
    cheaper_than = ("dense", "gram")

    @classmethod
    def bytes_needed(cls, measurement: Measurement) -> tuple[int, int]:
        """The factors, copies for their sums, and the inputs at all positions of a batch."""
        sides, rest = sides_of(measurement.model, measurement.variables)
        most = measurement.max_side or math.inf
        entries = rest + sum(groups * (n**2 if n <= most else n) for groups, n in sides)
        factors = entries * measurement.dtype.size
        positions = [measurement.batches.size * size for size in measurement.position_bytes]
        # Patches are formed for one kernel at a time; up to KEPT_BYTES of them are kept.
        positions = min(sum(positions), max(positions) + KEPT_BYTES)
        work = measurement.sum_copies * factors + measurement.score_bytes + positions
        # The order of each kernel's entries is kept too, as 32-bit integers.
        return factors + 4 * measurement.layout.size, work

    @classmethod
    def make_room(cls, measurement: Measurement, limit: int) -> None:
        """Makes the widest sides diagonal, one width after the other, until the rest fits."""
        sides, _ = sides_of(measurement.model, measurement.variables)
        widths = sorted({n for _, n in sides}, reverse=True)
        if measurement.max_side is not None or not widths:
            return
        for width in [*widths, 1]:
            measurement.max_side = width
            largest = max((groups * n**2 for groups, n in sides if n <= width), default=0)
            if sum(cls.bytes_needed(measurement)) + 8 * EIGEN_COPIES * largest <= limit:
                break
        if measurement.max_side == widths[0]:
            measurement.max_side = None

    @classmethod
    def prepare(cls, measurement: Measurement) -> None:
        """Chooses the form of each kernel from the first examples."""
        choose_forms(measurement)

    @classmethod
    def measured(cls, measurement: Measurement) -> KroneckerFisher:
        """Measures the factors, and diagonals of weights without factors."""
        forms = choose_forms(measurement)
        reduced = {kernel for kernel, form in forms.items() if form == "reduce"}
        max_side = measurement.max_side
        name = f"kronecker, sides to {max_side}"
        plans: list[BlockPlan] = measurement.kept(f"{name}, plans", lambda _: [])

        def of_scores(scores: Scores) -> tuple[list[Any], tf.Tensor, tf.Tensor]:
            plans[:] = plan_blocks(scores, max_side)
            *sums, norms = factor_sums(scores, plans, reduced)
            return sums, tf.reduce_sum(norms), tf.reduce_sum(norms**2)

        sums, norm, norm_squared = measurement.summed(name, of_scores)
        inputs, bias_rows, outputs, rest, traces = sums
        blocks = []
        for plan, upper, *parts in zip(plans, inputs, bias_rows, outputs, traces, strict=True):
            means = [measurement.mean(block) for block in upper]
            first = means[0] if plan.inputs_are_diagonal else from_upper_blocks(means)
            row, second, exact = map(measurement.mean, parts)
            if plan.bias >= 0:
                first = with_bias(first, row)
            form = forms.get(plan.kernel, "expand")
            blocks.append(
                KroneckerBlock(plan.kernel, plan.bias, plan.order, first, second, exact, form)
            )
        in_block = {i for plan in plans for i in (plan.kernel, plan.bias)}
        others = [i for i in range(len(measurement.variables)) if i not in in_block]
        return cls(
            blocks=tuple(blocks),
            rest={i: measurement.mean(r) for i, r in zip(others, rest, strict=True)},
            standard_error=measurement.error(norm, norm_squared),
            **measurement.fields(),
        )

    def factors(self) -> dict[str, dict[str, Any]]:
        """Maps the path of each kernel to `{"form", "trace_ratio", "diagonal"}`.

        The ratio is the trace of the factors before scaling over the exact one, for kernel and bias
        together; NaN if the exact trace is zero. "diagonal" lists the sides ("inputs", "outputs")
        of which only the diagonal was kept.
        """
        found = {}
        for block in self.blocks:
            exact = float(block.exact_traces.sum())
            ratio = float(block.factor_traces.sum()) / exact if exact else float("nan")
            sides = {"inputs": block.inputs, "outputs": block.outputs}
            found[self.variables[block.kernel]] = {
                "form": block.form,
                "trace_ratio": ratio,
                "diagonal": [name for name, side in sides.items() if is_diagonal(side)],
            }
        return found

    def __repr__(self) -> str:
        """Includes the number of factors of which only the diagonal was kept."""
        sides = [side for block in self.blocks for side in (block.inputs, block.outputs)]
        count = sum(map(is_diagonal, sides))
        said = f", {count} of {len(sides)} factors diagonal" if count else ""
        return f"{super().__repr__()[:-1]}{said})"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for a report, with the form of each kernel's factors."""
        return {**super().to_dict(), "factors": self.factors()}

    def diagonal(self) -> list[np.ndarray]:
        """Products of the factors' diagonals."""
        found: list[Any] = [self.rest.get(i) for i in range(len(self.variables))]
        for block in self.blocks:
            first, second = diagonal_of(block.scaled_inputs), diagonal_of(block.outputs)
            block.scatter(first[:, :, None] * second[:, None, :], found, self.layout.shapes)
        return found

    def matvec(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """`inputs @ V @ outputs` for each block."""
        self.layout.join(tensors)
        found: list[Any] = [None] * len(self.variables)
        for i, values in self.rest.items():
            found[i] = values * tensors[i]
        for block in self.blocks:
            product = times(block.scaled_inputs, block.gather(tensors), block.outputs)
            block.scatter(product, found, self.layout.shapes)
        return found

    def logdet(self, shift: float) -> Estimate:
        """Log-determinant, from the factors' eigenvalues; finite for any positive shift."""
        shift = check_price("shift", shift)
        spectra = [block.spectrum for block in self.blocks] + list(self.rest.values())
        with np.errstate(divide="ignore"):
            logs = (float(np.sum(np.log(np.float64(shift) + s))) for s in spectra)
            return Estimate(sum(logs))

    def eigenvalues(self, count: int | None = None) -> np.ndarray:
        """Products of the factors' eigenvalues."""
        count = self._num_eigenvalues(count)
        spectra = [block.spectrum for block in self.blocks]
        spectra += [np.reshape(v, -1) for v in self.rest.values()]
        return np.sort(np.concatenate(spectra))[::-1][:count]

    def spectrum(self, *, num_probes: int = 8, num_steps: int = 20, seed: int = 0) -> ExactSpectrum:
        """Products of the factors' eigenvalues; a bias has a share of those of its kernel."""
        check_probes(num_probes, num_steps, seed)
        parts = [SpectrumPart(np.reshape(v, -1), {i: 1.0}) for i, v in self.rest.items()]
        for block in self.blocks:
            (first, vectors), (second, _) = block.eigenvectors
            values = np.reshape(first[:, :, None] * second[:, None, :], -1)
            shares = {block.kernel: 1.0}
            if block.bias >= 0:
                of_bias = np.zeros(first.shape)
                of_bias[:, -1] = 1.0  # the last axis is the bias
                of_bias = of_bias if vectors is None else np.square(vectors[:, -1])
                of_bias = np.repeat(of_bias.reshape(-1), second.shape[1])
                shares = {block.kernel: 1.0 - of_bias, block.bias: of_bias}
            parts.append(SpectrumPart(values, shares))
        return ExactSpectrum(len(self.variables), parts)

    def power_product(self, rows: np.ndarray, exponent: float, shift: float = 0.0) -> np.ndarray:
        """Product with a power of F, row by row, by the eigenvectors of the factors."""
        rows, exponent, shift = self._checked_power(rows, exponent, shift)
        found = np.empty(rows.shape)
        rest = {i: (v.astype(np.float64) + shift) ** exponent for i, v in self.rest.items()}
        powers = []
        for block in self.blocks:
            (first, _), (second, _) = block.eigenvectors
            powers.append((first[:, :, None] * second[:, None, :] + shift) ** exponent)
        for number, row in enumerate(rows):
            tensors = self.layout.split(row)
            parts: list[Any] = [None] * len(tensors)
            for i, power in rest.items():
                parts[i] = tensors[i] * power
            for block, power in zip(self.blocks, powers, strict=True):
                (_, u), (_, v) = block.eigenvectors
                product = turned(u, block.gather(tensors), v) * power
                product = turned(u, product, v, back=True)
                block.scatter(product, parts, self.layout.shapes)
            found[number] = self.layout.join(parts)
        return found

    def score_products(
        self, shift: float, exponents: Sequence[float], numbers: Sequence[int] | None = None
    ) -> ScoreProducts:
        """Products of the scores in the coordinates of the factors' eigenvectors."""
        chosen = range(len(self.variables)) if numbers is None else numbers
        place = {number: i for i, number in enumerate(chosen)}
        blocks = [
            (block, place[block.kernel], place.get(block.bias, -1))
            for block in self.blocks
            if block.kernel in place
        ]
        rest = {place[i]: values for i, values in self.rest.items() if i in place}
        return products_by_blocks(blocks, rest, shift, exponents)

    def _merged(self, other: KroneckerFisher, num_examples: int) -> KroneckerFisher:
        a, b = self.num_examples / num_examples, other.num_examples / num_examples
        pairs = zip(self.blocks, other.blocks, strict=True)
        blocks = tuple(mine.merged(its, a) for mine, its in pairs)
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
            for name, side in (("inputs", block.inputs), ("outputs", block.outputs)):
                kind = "_diagonal" if is_diagonal(side) else ""
                arrays[f"{name}_{number}{kind}"] = side
            arrays[f"traces_{number}"] = block.exact_traces
            arrays[f"form_{number}"] = np.array(block.form)
        return arrays

    @classmethod
    def _from_archive(cls, fields: dict[str, Any], archive: Archive) -> KroneckerFisher:
        shapes = fields["layout"].shapes
        blocks: list[KroneckerBlock] = []
        while f"block_{len(blocks)}" in archive:
            blocks.append(KroneckerBlock.from_archive(archive, len(blocks), shapes))
        in_block = [i for block in blocks for i in (block.kernel, block.bias) if i >= 0]
        if len(set(in_block)) < len(in_block):
            archive.refuse("with two blocks of one weight")
        others = [i for i in range(len(shapes)) if i not in in_block]
        rest = {i: archive.array(f"rest_{i}", shapes[i], least=0) for i in others}
        return cls(blocks=tuple(blocks), rest=rest, **fields)


register_structure(KroneckerFisher)
