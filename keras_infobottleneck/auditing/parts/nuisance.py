"""Part of the report: information in hidden layers about the nuisance."""

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

__all__ = ["Nuisance"]


class Nuisance(LayerPart):
    """Information in the layers about a variable on which they should not depend."""

    name, title, examples = "nuisance", "Information about the nuisance", 1_000
    narrower, takes_activations = "average", True
    measures = (
        Measure(
            "nuisance",
            "about the nuisance",
            "nats per example",
            "consistent; mostly low, and the error leaves out the discriminator's own",
            "Information about the nuisance that the trained discriminator finds in the layer. "
            "If it finds none, that proves little.",
        ),
    )

    def reason_to_omit(self, subject: Subject) -> str | None:
        """Omitted without a nuisance."""
        return None if subject.has_nuisance else "no `nuisance` was given"

    def reason_to_omit_layer(
        self, subject: Subject, layer: HiddenLayer, num_examples: int
    ) -> str | None:
        """Omitted for wide layers, which take minutes."""
        return reason_too_wide(layer)

    def measure_layer(self, exam: Examination, layer: HiddenLayer) -> Mapping[str, Any]:
        """Nuisance information, from ten trainings of a small network."""
        sample = exam.examples("nuisance")
        z = exam.activations("nuisance", layer)
        of_examples: Any = exam.nuisance  # given, or this part is left out
        nuisance = of_examples[sample.indices]
        found = estimators.nuisance_information(z, nuisance, seed=exam.seed)
        return {"nuisance": found}

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """One number for each layer."""
        for name, told in findings.results_of_layers("nuisance").items():
            beside = f"null: {told.null:.3g}; at least {told.lower_bound:.3g} by its lower bound"
            if math.isfinite(told.upper_bound):
                beside += f"; all there is: {told.upper_bound:.4g}"
            beside = self.beside(findings, name, beside)
            yield self.reading("nuisance", name, told.nats, told.standard_error, beside)

    def sentences(self, findings: Findings) -> Iterable[str]:
        """A sentence on the layer with the most information."""
        told = findings.results_of_layers("nuisance")
        if told:
            name, most = max(told.items(), key=lambda item: item[1].nats)
            yield (
                f"Of the nuisance, layer {name} tells most: "
                f"{number_in_words(most.nats, most.standard_error)} nats (null {most.null:.2g})."
            )

    def verdict(self, findings: Findings) -> Verdict | None:
        """Whether a layer holds information about the nuisance."""
        found = findings.results_of_layers("nuisance")
        if not found:
            return None
        name, most = max(found.items(), key=lambda item: item[1].nats)
        all_there_is = ""
        if math.isfinite(most.upper_bound):
            all_there_is = f" of the {most.upper_bound:.2g}"
        evidence = (
            f"{number_in_words(most.nats, most.standard_error)} nats, null {most.null:.2g}, at "
            f"least {most.lower_bound:.2g} by its lower bound"
        )
        unsure = "what a small discriminator finds: a larger one may find more"
        if most.nats - max(most.null, 0.0) > 2 * most.standard_error:
            nats = number_in_words(most.nats, most.standard_error, digits=2)
            statement = (
                f"Layer {name} tells {nats}{all_there_is} nats of the nuisance: put an "
                "`InformationDropout` there, or raise its `beta`, to make it forget."
            )
            return Verdict(statement, evidence, unsure, 2)
        return Verdict("No layer was seen to tell of the nuisance.", evidence, unsure, 0)

    def figures(self, findings: Findings) -> Iterable[Drawing]:
        """A bar for each layer, with its null."""
        found = findings.results_of_layers("nuisance")
        yield from bars_by_layer(
            "Nats by layer; crosses are the null.",
            {name: each.nats for name, each in found.items()},
            errors={name: each.standard_error for name, each in found.items()},
            null={name: each.null for name, each in found.items()},
        )
