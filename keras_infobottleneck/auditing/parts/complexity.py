"""Part of the report: the complexity of the weights."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from keras_infobottleneck import estimators, plots
from keras_infobottleneck.auditing.entries import Measure, Reading, Verdict, number_in_words
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.figures import Drawing
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.part import AuditPart
from keras_infobottleneck.auditing.subject import HiddenLayer

__all__ = ["Complexity"]


# Ratios this close to 1 are noise: renumbering the units changes them as much.
NOISE = 0.015
SATURATED = 0.5
TRIAL_SIDE = 256
REARRANGEMENTS: tuple[Any, ...] = ("within_rows", "within_columns", "renumbered")


class Complexity(AuditPart):
    """Algorithmic complexity of the quantised weights, compared with that of the shuffled ones."""

    name, title = "complexity", "Complexity of the weights"
    measures = (
        Measure(
            "complexity",
            "8-bit weights",
            "bits",
            "exact for the block decomposition, which stands in for algorithmic complexity",
            "Bits of the values and the arrangement of the weights. Do not compare sizes by it: "
            "above some 10^6 weights it stops growing.",
        ),
        Measure(
            "complexity_ratio",
            "complexity over that of the same weights shuffled",
            "ratio",
            "exact; the error is the spread over shuffles and over renumbered units",
            "Below 1, the weights have structure, or units differ in scale; the ratios below "
            "distinguish the two. Within 1.5 % of 1 it is noise: renumbering the units, which "
            "does not change the network, changes it as much. If it is clearly above 1, equal "
            "blocks recur less often than in a shuffle: the values are spread more evenly than "
            "by chance.",
        ),
        Measure(
            "complexity_within_rows",
            "complexity over that of each unit's weights shuffled",
            "ratio",
            "exact; the error is the spread over shuffles and over renumbered units",
            "The shuffle keeps the scale of each output unit: if this ratio is nearer to 1 than "
            "that of the plain shuffle, units differ in scale.",
        ),
        Measure(
            "complexity_within_columns",
            "complexity over that of each input's weights shuffled",
            "ratio",
            "exact; the error is the spread over shuffles and over renumbered units",
            "The shuffle keeps the scale of each input: if this ratio is nearer to 1 than that "
            "of the plain shuffle, inputs differ in scale.",
        ),
    )

    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """The model's `QuantizedComplexity`."""
        found = estimators.quantized_complexity(
            exam.model, rearrangements=REARRANGEMENTS, seed=exam.seed
        )
        return {"complexity": found}

    def seconds_without_trial(self, num_weights: int) -> float:
        """Estimates seconds in proportion to the weights, from one small matrix."""
        matrix = np.random.default_rng(0).normal(size=(TRIAL_SIDE, TRIAL_SIDE)).astype("float32")
        start = time.perf_counter()
        estimators.quantized_complexity([matrix], rearrangements=REARRANGEMENTS)
        return (time.perf_counter() - start) * max(1.0, num_weights / matrix.size)

    def num_bytes(self, num_weights: int, layers: Sequence[HiddenLayer], num_examples: int) -> int:
        """Number of bytes for the levels of the largest matrix, shuffled."""
        return 20 * num_weights

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """Total bits, and the ratio of all weights and of each weight."""
        found = findings.complexity
        if found is None:
            return
        yield self.reading("complexity", "", found.total_bits)
        shuffled = found.against_shuffled
        beside = f"null: 1; {found.rearranged['renumbered'].value:.4g} to its units renumbered"
        yield self.reading("complexity_ratio", "", shuffled.value, _spread(found), beside)
        for kind in ("within_rows", "within_columns"):
            ratio = found.rearranged[kind]
            error = _spread(found, ratio.std)
            yield self.reading(f"complexity_{kind}", "", ratio.value, error, "null: 1")
        for path, ratio in shuffled.by_layer.items():
            full = f"null: 1; fullest plane holds {found.saturation[path]:.1%} of all blocks"
            yield self.reading("complexity_ratio", path, ratio, None, full)

    def sentences(self, findings: Findings) -> Iterable[str]:
        """A sentence on the ratio of all weights."""
        found = findings.complexity
        if found is not None:
            yield (
                f"Quantised to {found.num_bits} bits, its weights are "
                f"{number_in_words(found.shuffled_ratio, _spread(found))} times as complex as "
                "when shuffled"
                f"{', which is noise' if _is_noise(found) else ''}."
            )

    def verdict(self, findings: Findings) -> Verdict | None:
        """Whether the weights have structure, or only differ in scale."""
        found = findings.complexity
        if found is None:
            return None
        rows, columns = (found.rearranged[kind].value for kind in REARRANGEMENTS[:2])
        evidence = (
            f"ratio {number_in_words(found.shuffled_ratio, _spread(found))} to the shuffle, "
            f"{rows:.4g} with each unit's weights shuffled, {columns:.4g} with each input's"
        )
        if max(found.saturation.values()) > SATURATED:
            unsure = "the measure is full: most blocks there are occur, which presses ratios to 1"
        else:
            unsure = f"within {NOISE:.1%} of 1 it is noise: so much renumbering the units moves it"
        nearest = min((abs(1 - rows), "units"), (abs(1 - columns), "inputs"))
        if _is_noise(found):
            statement = "The weights are not arranged: only the distribution of their values shows."
        elif found.shuffled_ratio > 1:
            statement = "The weights are spread more evenly than chance would."
        elif nearest[0] < NOISE:
            statement = (
                f"The weights are simpler than shuffled because {nearest[1]} differ in scale: "
                "some could be pruned, or need fewer bits."
            )
        else:
            statement = (
                "The weights are arranged beyond the scales of units and inputs: they can be "
                "written down in fewer bits."
            )
        return Verdict(statement, evidence, unsure, 0)

    def figures(self, findings: Findings) -> Iterable[Drawing]:
        """A figure of the ratio of each bit plane."""
        if findings.complexity is None:
            return
        ratio = findings.complexity.against_shuffled
        caption = (
            "Complexity of each bit plane over that of its shuffled self; the dashed line, 1, is "
            "no arrangement."
        )
        draw = partial(plots.plot_bit_planes, ratio.by_plane, std=ratio.by_plane_std)
        yield Drawing(caption, draw)


def _spread(found: estimators.QuantizedComplexity, std: float | None = None) -> float:
    """Standard deviation of a ratio, over shuffles and over renumberings of units."""
    std = found.shuffled_ratio_std if std is None else std
    return math.hypot(std, found.rearranged["renumbered"].std)


def _is_noise(found: estimators.QuantizedComplexity) -> bool:
    """Whether the ratio to the shuffle is within noise."""
    return abs(found.shuffled_ratio - 1) <= max(NOISE, 2 * _spread(found))
