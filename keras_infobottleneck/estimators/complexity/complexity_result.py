"""Results on the complexity of quantised weights: totals, ratios to nulls, a table, JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_infobottleneck.results.result import Result

__all__ = ["ComplexityRatio", "QuantizedComplexity"]


@dataclass(frozen=True, repr=False)
class ComplexityRatio(Result):
    """Ratio of the complexity of weights to that of a baseline.

    ``by_plane [num_bits]`` counts from the least significant plane.

    Spreads are standard deviations over the draws of a random baseline, and 0 for a fixed one.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        weights = np.random.default_rng(0).normal(size=(64, 64))
        found = kib.estimators.quantized_complexity(weights, seed=0)
        print(f"{found.against_shuffled.value:.2f}")  # 1: the arrangement has no structure
        ```

        ```text
        1.00
        ```
    """

    value: float
    std: float
    by_plane: np.ndarray
    by_plane_std: np.ndarray
    by_layer: dict[str, float]

    @classmethod
    def of(
        cls, planes: dict[str, np.ndarray], baseline: dict[str, np.ndarray]
    ) -> "ComplexityRatio":
        """Ratio of sums of ``planes [num_bits]`` to means of ``baseline [num_draws, num_bits]``."""
        ours = np.sum([*planes.values()], axis=0)
        theirs = np.sum([*baseline.values()], axis=0)

        def spread(value: np.ndarray | np.float64, draws: np.ndarray) -> np.ndarray:
            if len(draws) < 2:
                return np.zeros_like(value)
            return np.asarray((value / draws).std(axis=0, ddof=1))

        return cls(
            value=float(ours.sum() / theirs.sum(axis=1).mean()),
            std=float(spread(ours.sum(), theirs.sum(axis=1))),
            by_plane=ours / theirs.mean(axis=0),
            by_plane_std=spread(ours, theirs),
            by_layer={
                path: float(bits.sum() / baseline[path].sum(axis=1).mean())
                for path, bits in planes.items()
            },
        )


@dataclass(frozen=True)
class QuantizedComplexity(Result):
    """Complexity of quantised weights, in bits. Planes count from the least significant.

    Attributes:
        total_bits: Sum over tensors and planes.
        by_plane: ``[num_bits]``, sums over tensors.
        by_layer: Sum over planes, by weight path.
        planes: ``[num_bits]`` by weight path.
        ratio: ``total_bits`` over the baseline's; ``ratio_std`` its spread.
        shuffled_ratio: The control: ``total_bits`` over that of the model's own levels, shuffled;
            1 means no structure beyond the distribution of the values. ``shuffled_ratio_std`` is
            its spread.
        baseline: Denominator of the ratio: ``"shuffled"`` or ``"given"``.
        against_baseline, against_shuffled: Both ratios by plane and layer.
        saturation: By path, the fraction of the 65,536 possible blocks that occur in the fullest
            plane. Close to 1 the measure stops growing, and ratios approach 1.
        shapes: Rows and columns by path.
        skipped: Weights that were not measured, with the reason.
        num_bits: Number of bit planes.
        options: ``clip_percentile`` and ``crop``, as given.
        rearranged: By kind, the ratio to the weights in another arrangement, if requested.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        weights = np.random.default_rng(0).normal(size=(64, 64))
        found = kib.estimators.quantized_complexity(weights, num_bits=8, seed=0)
        print(found.by_plane.shape, found.total_bits > 0)  # least significant plane first
        ```

        ```text
        (8,) True
        ```
    """

    total_bits: float
    by_plane: np.ndarray
    by_layer: dict[str, float]
    planes: dict[str, np.ndarray]
    ratio: float
    ratio_std: float
    shuffled_ratio: float
    shuffled_ratio_std: float
    baseline: str
    against_baseline: ComplexityRatio
    against_shuffled: ComplexityRatio
    saturation: dict[str, float]
    shapes: dict[str, tuple[int, int]]
    skipped: dict[str, str]
    num_bits: int
    options: dict[str, float | tuple[int, int] | None]
    rearranged: dict[str, ComplexityRatio] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"QuantizedComplexity(total_bits={self.total_bits:.6g}, "
            f"ratio={self.ratio:.4f} +- {self.ratio_std:.4f} to {self.baseline}, "
            f"shuffled_ratio={self.shuffled_ratio:.4f}, num_bits={self.num_bits}, "
            f"layers={len(self.by_layer)}, skipped={len(self.skipped)}, "
            f"saturation={max(self.saturation.values()):.2f})"
        )

    def table(self) -> str:
        """Table with one line per weight: shape, bits, both ratios, saturation; then the total."""
        rows = [
            [
                path,
                "x".join(map(str, self.shapes[path])),
                f"{bits:.1f}",
                f"{self.against_baseline.by_layer[path]:.4f}",
                f"{self.against_shuffled.by_layer[path]:.4f}",
                f"{self.saturation[path]:.3f}",
            ]
            for path, bits in self.by_layer.items()
        ]
        total = f"{self.total_bits:.1f}", f"{self.ratio:.4f}", f"{self.shuffled_ratio:.4f}"
        head = ["weight", "shape", "bits", "ratio", "shuffled", "saturation"]
        rows = [head, *rows, ["total", "", *total, ""]]
        first, *widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join([f"{path:{first}}", *map(str.rjust, cells, widths)]) for path, *cells in rows
        ]
        return "\n".join(lines + [f"skipped {path}: {why}" for path, why in self.skipped.items()])

    def numbers(self) -> dict[str, float]:
        """The bits and their ratios, the number of planes, and the largest saturation."""
        return {**super().numbers(), "saturation": float(max(self.saturation.values()))}

    def _columns(self) -> dict[str, Sequence[Any]]:
        shapes = [self.shapes[path] for path in self.by_layer]
        return {
            "weight": list(self.by_layer),
            "rows": [rows for rows, _ in shapes],
            "columns": [columns for _, columns in shapes],
            "bits": list(self.by_layer.values()),
            "ratio": [self.against_baseline.by_layer[path] for path in self.by_layer],
            "shuffled_ratio": [self.against_shuffled.by_layer[path] for path in self.by_layer],
            "saturation": [self.saturation[path] for path in self.by_layer],
        }
