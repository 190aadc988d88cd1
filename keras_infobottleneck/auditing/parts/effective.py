"""Part of the report: the effective information in the activations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from keras_infobottleneck import estimators, plots
from keras_infobottleneck.auditing.entries import Measure, Reading
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.figures import Drawing
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.part import LayerPart
from keras_infobottleneck.auditing.parts.fisher import NO_FISHER, diagonal_of
from keras_infobottleneck.auditing.subject import HiddenLayer, Subject

__all__ = ["Effective"]

# Numbers in the Jacobians that are taken; this many take about ten seconds of one core.
MAX_NUMBERS = 5e8
NO_FLOATS = "the model's inputs are no floats, along which activations can be differentiated"
# When 1/2 log det(I + C^T G^T S^-1 G C) is infinite.
WITHOUT_NOISE = "where units move with the input (G) in a direction without noise (S singular)"


class Effective(LayerPart):
    """What weight noise leaves of the input, in narrow layers and the output."""

    name, title, examples = "effective", "Effective information in the activations", 50
    measures = (
        Measure(
            "effective_information",
            "about the input, under the noise of the weights' code",
            "nats per example",
            "local Gaussian approximation",
            "What the layer still tells of the input when weights carry the noise of their code. "
            "The few examples make it low, noise that is not small makes it wrong, and a unit "
            "that moves without noise makes it infinite.",
        ),
    )

    def reason_to_omit(self, subject: Subject) -> str | None:
        """It takes derivatives along the inputs, and the Fisher matrix."""
        return subject.reason_without_likelihood or (None if subject.takes_floats else NO_FLOATS)

    def shares(self, subject: Subject) -> tuple[str, ...]:
        """The Fisher matrix's."""
        return ("fisher",)

    def layers(self, subject: Subject) -> Iterable[HiddenLayer]:
        """The output too."""
        return subject.layers

    def reason_to_omit_layer(
        self, subject: Subject, layer: HiddenLayer, num_examples: int
    ) -> str | None:
        """The Jacobian by the weights, and eigenvectors of a matrix over units, by example."""
        numbers = layer.num_units * layer.num_weights + layer.num_units**3 / 20
        if num_examples * numbers <= MAX_NUMBERS:
            return None
        return (
            f"{layer.num_units:,} units by {layer.num_weights:,} weights by {num_examples} "
            "examples take too long; `effective_information` measures it without this limit"
        )

    def measure_layer(self, exam: Examination, layer: HiddenLayer) -> Mapping[str, Any]:
        """Effective information at one nat of training loss a nat."""
        fisher = diagonal_of(exam)
        if fisher is None:
            raise ValueError(NO_FISHER)
        inputs = exam.examples("effective").inputs
        options = {"layer": layer.name, "fisher": fisher, "beta": exam.beta}
        return {"effective": estimators.effective_information(exam.model, inputs, **options)}

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """Nats of each layer."""
        for name, felt in findings.results_of_layers("effective").items():
            error = felt.standard_error if math.isfinite(felt.nats) else None
            units = f"{felt.num_units:,} units, {felt.num_examples} examples"
            endless = int(np.sum(np.isinf(felt.per_example)))
            if endless:
                units += f"; {endless} infinite, {WITHOUT_NOISE}"
            yield self.reading("effective_information", name, felt.nats, error, units)

    def figures(self, findings: Findings) -> Iterable[Drawing]:
        """How much each place of an image is felt."""
        for name, felt in findings.results_of_layers("effective").items():
            mean = felt.sensitivity.mean(0)
            if mean.ndim == 3 and np.all(np.isfinite(mean)):
                caption = (
                    f"How much layer {name} feels each place of the input: mean over examples."
                )
                options = {"label": "per squared unit of input"}
                yield Drawing(caption, partial(plots.plot_information_map, mean, **options))
