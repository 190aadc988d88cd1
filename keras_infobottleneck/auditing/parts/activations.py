"""Part of the report: the information for which noisy layers are charged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from keras_infobottleneck import plots
from keras_infobottleneck.auditing.entries import Measure, Reading, Verdict, number_in_words
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.figures import Drawing, bars_by_layer
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.noise import activation_information
from keras_infobottleneck.auditing.part import LayerPart
from keras_infobottleneck.auditing.subject import HiddenLayer, Subject
from keras_infobottleneck.layers.noisy_layer import noisy_layers

__all__ = ["Activations"]


class Activations(LayerPart):
    """Nats for which layers are charged for their activations, wherever they are in the model."""

    name, title, examples = "activations", "Information that noisy layers pay for", 500
    nats_label = "paid for the input"
    measures = (
        Measure(
            "activation_information",
            "paid",
            "nats per example",
            "exact for the examples taken; on average an upper bound on I(layer; input), for the "
            "log-uniform prior up to a constant",
            "Nats that the layer pays for, summed over its units; 0 means that only noise passes. "
            "Information that several units repeat is counted several times.",
        ),
    )

    def reason_to_omit(self, subject: Subject) -> str | None:
        """Omitted unless a layer has noise on its activations."""
        if not noisy_layers(subject.model, "activations"):
            return "the model has no layer with noise on its activations"
        return None

    def layers(self, subject: Subject) -> Iterable[HiddenLayer]:
        """All layers that are charged, even if others were named."""
        paying = noisy_layers(subject.model, "activations")
        return [HiddenLayer(layer.name, shape=(), num_weights=0) for layer in paying]

    def measure_layer(self, exam: Examination, layer: HiddenLayer) -> Mapping[str, Any]:
        """The layer's `ActivationInformation`."""
        paying = noisy_layers(exam.model, "activations")
        found = next(each for each in paying if each.name == layer.name)
        sample = exam.examples("activations")
        return {"activations": activation_information(exam.model, found, sample)}

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """Nats of each layer, with their price."""
        for name, paid in findings.results_of_layers("activations").items():
            price, error = f"price of a nat: {paid.beta:.4g}", paid.standard_error
            yield self.reading("activation_information", name, paid.nats, error, price)

    def sentences(self, findings: Findings) -> Iterable[str]:
        """One sentence for each layer."""
        for name, paid in findings.results_of_layers("activations").items():
            nats = number_in_words(paid.nats, paid.standard_error)
            yield f"Layer {name} pays for {nats} nats about each input."

    def verdict(self, findings: Findings) -> Verdict | None:
        """Whether the narrowest layer passes as much information as the labels need."""
        paid, labels_hold = findings.results_of_layers("activations"), findings.label_nats
        if not paid:
            return None
        name, least = min(paid.items(), key=lambda item: item[1].nats)
        nats = number_in_words(least.nats, least.standard_error, digits=2)
        if labels_hold is None:
            return Verdict(
                f"Layer {name} lets through least, {nats} nats.",
                f"at a price of {least.beta:.3g} a nat",
                "what labels hold is known for classes only",
            )
        evidence = (
            f"{number_in_words(least.nats, least.standard_error)} nats about each input at a price "
            f"of {least.beta:.3g}; {findings.labels_in_words} holds at most {labels_hold:.3g}"
        )
        unsure = "on average an upper bound: the layer tells no more of the input than that"
        if least.nats + 2 * least.standard_error < labels_hold:
            statement = (
                f"Layer {name} lets {nats} nats through, less than the "
                f"{labels_hold:.2g} of {findings.labels_in_words}: what follows cannot be sure of "
                "every label. For more accuracy lower its `beta`."
            )
            return Verdict(statement, evidence, unsure, 1)
        statement = (
            f"Layer {name}, which lets through least, passes {nats} nats, enough for the "
            f"{labels_hold:.2g} of {findings.labels_in_words}; a larger `beta` would drop more of "
            "the rest."
        )
        return Verdict(statement, evidence, unsure, 0)

    def nats_by_layer(self, findings: Findings) -> Mapping[str, float]:
        """Nats per example for which each layer is charged."""
        return {name: e.nats for name, e in findings.results_of_layers("activations").items()}

    def figures(self, findings: Findings) -> Iterable[Drawing]:
        """A bar for each layer, and a map of the nats for images."""
        paid = findings.results_of_layers("activations")
        nats = {name: each.nats for name, each in paid.items()}
        yield from bars_by_layer("Nats that each layer pays for.", nats)
        for name, each in paid.items():
            if each.by_unit.ndim == 3:
                caption = f"Nats by place of layer {name}: mean over examples, sum over channels."
                yield Drawing(caption, partial(plots.plot_information_map, each.by_unit))
