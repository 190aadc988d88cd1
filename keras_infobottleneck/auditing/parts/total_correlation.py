"""Part of the report: the total correlation of hidden layers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from keras_infobottleneck import estimators
from keras_infobottleneck.auditing.entries import Measure, Reading, Verdict, number_in_words
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.figures import Drawing, bars_by_layer
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.part import LayerPart
from keras_infobottleneck.auditing.subject import HiddenLayer, Subject, reason_too_wide

__all__ = ["TotalCorrelation"]

# Permutations for the null, which make up most of the cost.
NUM_PERMUTATIONS = 5


class TotalCorrelation(LayerPart):
    """Total correlation of a layer's units: how much they depend on each other."""

    name, title, examples = "total_correlation", "Total correlation of hidden layers", 2_000
    narrower, takes_activations = "place", True
    measures = (
        Measure(
            "total_correlation",
            "total correlation",
            "nats",
            "unbiased for Gaussian units; linear dependence only for others",
            "How far the units depend on each other; 0 means that they are independent. Noise "
            "and a narrow code also lower it.",
        ),
    )

    def reason_to_omit_layer(
        self, subject: Subject, layer: HiddenLayer, num_examples: int
    ) -> str | None:
        """Omitted for wide layers, whose nulls take minutes."""
        return reason_too_wide(layer)

    def measure_layer(self, exam: Examination, layer: HiddenLayer) -> Mapping[str, Any]:
        """The estimate and its null."""
        z = exam.activations("total_correlation", layer)
        options: dict[str, Any] = {"num_permutations": NUM_PERMUTATIONS, "seed": exam.seed}
        found = estimators.total_correlation(z, **options)
        return {"total_correlation": found}

    def work(self, layer: HiddenLayer, num_examples: int) -> float:
        """Between the work of permuting the units and of decomposing their correlations."""
        return num_examples * max(1, layer.num_units) ** 1.5

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """One number for each layer."""
        for name, tc in findings.results_of_layers("total_correlation").items():
            null = f"null: {number_in_words(tc.null, tc.null_std)}"
            beside = self.beside(findings, name, null, f"{tc.num_units:,} units")
            yield self.reading("total_correlation", name, tc.nats, tc.standard_error, beside)

    def verdict(self, findings: Findings) -> Verdict | None:
        """The layer whose units depend on each other most."""
        found = findings.results_of_layers("total_correlation")
        if not found:
            return None
        name, most = max(found.items(), key=lambda item: item[1].nats / item[1].num_units)
        null = number_in_words(most.null, most.null_std)
        evidence = (
            f"{number_in_words(most.nats, most.standard_error)} nats over {most.num_units:,} "
            f"units, null {null}"
        )
        unsure = "linear dependence only, unless units are Gaussian: there may be more"
        if most.nats - most.null > 2 * math.hypot(most.standard_error, most.null_std):
            error = most.standard_error / most.num_units
            nats = number_in_words(most.nats / most.num_units, error, digits=2)
            statement = (
                f"The units of layer {name} repeat each other most, by {nats} nats a unit: it "
                "would do with fewer, and noise on its activations (`InformationDropout`) makes it "
                "use them apart."
            )
        else:
            statement = "No layer's units were seen to depend on each other."
        return Verdict(statement, evidence, unsure, 0)

    def figures(self, findings: Findings) -> Iterable[Drawing]:
        """A bar for each layer, with its null."""
        found = findings.results_of_layers("total_correlation")
        yield from bars_by_layer(
            "Total correlation by layer; crosses are the null.",
            {name: each.nats for name, each in found.items()},
            errors={name: each.standard_error for name, each in found.items()},
            null={name: each.null for name, each in found.items()},
        )
