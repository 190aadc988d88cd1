"""Part of the report: the effective information in the activations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from keras_infobottleneck import estimators, plots
from keras_infobottleneck.auditing.entries import Measure, Reading, Verdict, number_in_words
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.figures import Drawing
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.part import LayerPart
from keras_infobottleneck.auditing.parts.fisher import NO_FISHER, diagonal_of
from keras_infobottleneck.auditing.subject import HiddenLayer, Subject
from keras_infobottleneck.estimators.information.effective_information import information_of
from keras_infobottleneck.estimators.information.linearised_layer import LinearisedLayer
from keras_infobottleneck.estimators.information.minimum import Minimum

__all__ = ["Effective"]

# Number of examples in one compiled pass, small enough that a dry run can try one.
EXAMPLES_AT_ONCE = 5
# Number of entries in the Jacobians by the weights; these take at most about ten seconds of a core.
MAX_NUMBERS = 5e8
MAX_NUMBERS_OF_ALL = 3e9
NO_FLOATS = "the model's inputs are no floats, along which activations can be differentiated"
TOO_LONG = (
    "units by weights by examples, and by the places or time steps at which weights are used, take "
    "too long; `effective_information` measures them without this limit"
)
# 1/2 log det(I + C^T G^T S^-1 G C) is infinite if G has a direction in which S is singular.
WITHOUT_NOISE = (
    "as some combination of units follows the input and carries no noise, which there always is "
    "where units are more than the weights with noise before them"
)


class Effective(LayerPart):
    """Information about the input that remains under weight noise, in narrow layers and outputs."""

    name, title, examples = "effective", "Effective information in the activations", 50
    nats_label = "still told of the input"
    narrower, most_work = "average", MAX_NUMBERS_OF_ALL
    measures = (
        Measure(
            "effective_information",
            "about the input, under the noise of the weights' code",
            "nats per example",
            "local Gaussian approximation",
            "Information about the input that remains in the layer if the weights have the noise "
            "of their code. With few examples it is too low, with large noise it is wrong, and a "
            "unit that changes without noise makes it infinite.",
        ),
    )

    def reason_to_omit(self, subject: Subject) -> str | None:
        """Omitted without derivatives along the inputs, or without a likelihood."""
        return subject.reason_without_likelihood or (None if subject.takes_floats else NO_FLOATS)

    def shares(self, subject: Subject) -> tuple[str, ...]:
        """The examples of the Fisher matrix."""
        return ("fisher",)

    def layers(self, subject: Subject) -> Iterable[HiddenLayer]:
        """All layers, including the output."""
        return subject.layers

    def reason_to_omit_layer(
        self, subject: Subject, layer: HiddenLayer, num_examples: int
    ) -> str | None:
        """Omitted if the Jacobians by the weights and the eigenvectors over units take too long."""
        return TOO_LONG if self.work(layer, num_examples) > MAX_NUMBERS else None

    def measure_layer(self, exam: Examination, layer: HiddenLayer) -> Mapping[str, Any]:
        """Effective information at a price of one nat of training loss per nat."""
        fisher = diagonal_of(exam)
        if fisher is None:
            raise ValueError(NO_FISHER)
        axes = [1 + axis for axis in range(len(layer.shape)) if axis != layer.channels]
        linearised = LinearisedLayer.of(
            exam.model,
            layer.name,
            fisher,
            exam.beta,
            exam.once("prior scale", lambda: _best_prior_scale(exam, fisher)),
            average_over=tuple(axes) if layer.view == "average" else (),
        )
        inputs = exam.examples("effective").inputs
        return {"effective": information_of(linearised, inputs, most=EXAMPLES_AT_ONCE)}

    def work(self, layer: HiddenLayer, num_examples: int) -> float:
        """The Jacobian by the weights, its backward passes, and eigenvectors over units."""
        each = layer.num_weights + layer.backward_work + layer.num_units**2 / 20
        return num_examples * layer.num_units * each

    def num_bytes(self, num_weights: int, layers: Sequence[HiddenLayer], num_examples: int) -> int:
        """At most: a Jacobian by the weights of a kernel at several positions, and its product."""
        numbers = (layer.num_units * (layer.num_weights + layer.num_units) for layer in layers)
        return 12 * max(numbers, default=0)

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """Nats of each layer."""
        for name, felt in findings.results_of_layers("effective").items():
            error = felt.standard_error if math.isfinite(felt.nats) else None
            units = f"{felt.num_units:,} units, {felt.num_examples} examples"
            endless = int(np.sum(np.isinf(felt.per_example)))
            if endless:
                units += f"; infinite for {endless} of them, {WITHOUT_NOISE}"
            units = self.beside(findings, name, units)
            yield self.reading("effective_information", name, felt.nats, error, units)

    def verdict(self, findings: Findings) -> Verdict | None:
        """Whether the noise of the code leaves as much information as the labels need."""
        felt, labels_hold = self._whole(findings), findings.label_nats
        if not felt:
            return self._verdict_without(findings)
        name, least = min(felt.items(), key=lambda item: item[1].nats)
        unsure = "a local Gaussian approximation, low for its few examples"
        if labels_hold is None:
            nats = number_in_words(least.nats, least.standard_error)
            return Verdict(
                f"Under the noise of the weights' code layer {name} tells least of the input: "
                "compare layers and networks by it.",
                f"{nats} nats of {least.num_examples} examples",
                f"{unsure}; what labels hold is known for classes only",
            )
        evidence = (
            f"{number_in_words(least.nats, least.standard_error)} nats of {least.num_examples} "
            f"examples; {findings.labels_in_words} holds at most {labels_hold:.3g}"
        )
        nats = number_in_words(least.nats, least.standard_error, digits=2)
        told = f"{nats} nats of the input"
        of_labels = f"the {labels_hold:.2g} of {findings.labels_in_words}"
        enough = least.nats >= labels_hold
        if abs(least.nats - labels_hold) < 2 * least.standard_error:
            told += f", about {of_labels}: whether labels are lost there cannot be told"
        elif enough:
            told += f", enough for {of_labels}"
        else:
            told += (
                f", less than {of_labels}: with weights only that precise, labels are lost there"
            )
        statement = f"Under the noise of the weights' code layer {name} still tells {told}"
        return Verdict(f"{statement}.", evidence, unsure, 0 if enough else 1)

    def _verdict_without(self, findings: Findings) -> Verdict | None:
        """The verdict without a layer of finite nats of which all units were used."""
        found = findings.results_of_layers("effective")
        if not found:
            return None
        finite = {name: each.nats for name, each in found.items() if math.isfinite(each.nats)}
        if not finite:
            return Verdict(
                "No limit was found to what its layers tell of the input: look at narrower "
                "`layers`, or put noise on activations (`InformationDropout`).",
                f"{len(found)} layers, infinite in all",
                f"infinite, {WITHOUT_NOISE}",
            )
        name = min(finite, key=lambda each: finite[each])
        nats = number_in_words(finite[name], found[name].standard_error)
        return Verdict(
            f"Layer {name} tells least of the input, as far as its channels' averages tell: name "
            "narrower `layers` to know all that one tells.",
            f"{nats} nats of {found[name].num_examples} examples",
            "averages over places tell less than the layer; a local Gaussian approximation",
        )

    def nats_by_layer(self, findings: Findings) -> Mapping[str, float]:
        """Nats about an input that remain in each layer."""
        return {name: each.nats for name, each in self._whole(findings).items()}

    def _whole(self, findings: Findings) -> dict[str, Any]:
        """Finite results of layers of which all units were used, since averages hold less."""
        return {
            name: each
            for name, each in findings.results_of_layers("effective").items()
            if math.isfinite(each.nats) and not findings.layers[name].taken(self.name)
        }

    def figures(self, findings: Findings) -> Iterable[Drawing]:
        """A map of the sensitivity of each layer to places of an image."""
        for name, felt in findings.results_of_layers("effective").items():
            mean = felt.sensitivity.mean(0)
            if mean.ndim == 3 and np.all(np.isfinite(mean)):
                caption = (
                    f"How much layer {name} feels each place of the input: mean over examples."
                )
                options = {"label": "per squared unit of input"}
                yield Drawing(caption, partial(plots.plot_information_map, mean, **options))


def _best_prior_scale(
    exam: Examination, fisher: estimators.FisherInformation
) -> float | Literal["optimal"]:
    """The best scale for all layers; if there is none, "optimal", which is then refused."""
    scale = Minimum.of(exam.model, fisher).code(exam.beta, None).prior_scale
    return float(scale) if 0.0 < scale < math.inf else "optimal"
