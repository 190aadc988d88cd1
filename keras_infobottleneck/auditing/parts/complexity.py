"""Part of the report: the complexity of the weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from keras_infobottleneck import estimators, plots
from keras_infobottleneck.auditing.entries import Measure, Reading
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.figures import Drawing
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.part import AuditPart

__all__ = ["Complexity"]


class Complexity(AuditPart):
    """Algorithmic complexity of the quantised weights beside that of the same weights shuffled."""

    name, title = "complexity", "Complexity of the weights"
    measures = (
        Measure(
            "complexity",
            "8-bit weights",
            "bits",
            "exact for the block decomposition, which stands in for algorithmic complexity",
            "Bits of the arrangement and the values of the weights. Never compare sizes by it: "
            "above some 10^6 weights it stops growing.",
        ),
        Measure(
            "complexity_ratio",
            "complexity over that of the same weights shuffled",
            "ratio",
            "exact, over random shuffles",
            "Below 1 the weights are arranged; at 1 only the distribution of their values was "
            "measured.",
        ),
    )

    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """The `QuantizedComplexity`."""
        return {"complexity": estimators.quantized_complexity(exam.model, seed=exam.seed)}

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """All bits, and the ratio of the whole and of each weight."""
        found = findings.complexity
        if found is None:
            return
        yield self.reading("complexity", "", found.total_bits)
        shuffled = found.against_shuffled
        yield self.reading("complexity_ratio", "", shuffled.value, shuffled.std, "null: 1")
        for path, ratio in shuffled.by_layer.items():
            full = f"null: 1; fullest plane holds {found.saturation[path]:.1%} of all blocks"
            yield self.reading("complexity_ratio", path, ratio, None, full)

    def sentences(self, findings: Findings) -> Iterable[str]:
        """The ratio of the whole."""
        found = findings.complexity
        if found is not None:
            yield (
                f"Quantised to {found.num_bits} bits, its weights are "
                f"{found.shuffled_ratio:.4g} times as complex as when shuffled."
            )

    def figures(self, findings: Findings) -> Iterable[Drawing]:
        """The ratio of each bit plane."""
        if findings.complexity is None:
            return
        ratio = findings.complexity.against_shuffled
        caption = (
            "Complexity of each bit plane over that of its shuffled self; the dashed line, 1, is "
            "no arrangement."
        )
        draw = partial(plots.plot_bit_planes, ratio.by_plane, std=ratio.by_plane_std)
        yield Drawing(caption, draw)
