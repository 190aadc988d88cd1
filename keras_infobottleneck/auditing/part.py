"""A part of the report: everything that is known about one thing that is measured."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_infobottleneck.auditing.entries import Measure, Reading, Verdict
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.figures import Drawing
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.subject import HiddenLayer, Subject, View

__all__ = ["AuditPart", "LayerPart"]


class AuditPart(abc.ABC):
    """A part of the report, about the model as a whole.

    A part of your own is a subclass, given as `audit(model, data, parts=[MyPart()])`: it is in the
    plan, the table, the page and the JSON file like any other, can be left out by `include`, and
    what it raises becomes an omission. `LayerPart` is for what is measured layer by layer.

    Example:
        import numpy as np
        import keras_infobottleneck as kib
        from keras_infobottleneck.auditing import AuditPart, Measure

        class Norms(AuditPart):
            name, title = "norms", "Size of the weights"
            measures = (Measure("norm", "norm", "units of weight", "exact", "It grows with size."),)

            def measure(self, exam):
                return {"norms": {w.path: np.linalg.norm(w) for w in exam.model.weights}}

            def readings(self, findings):
                for path, norm in findings.others["norms"].items():
                    yield self.reading("norm", path, float(norm))

        report = kib.audit(model, data, parts=[Norms()])

    Attributes:
        name: by which `include` and `examples` refer to the part, and under which it is kept.
        title: its heading.
        examples: how many examples it takes by default; None where it takes no data.
        measures: the kinds of number it gives, each with its unit, its truth and how it misleads.
        nats_label: what `nats_by_layer` are nats of, such as "in its weights".
    """

    name: str
    title: str
    examples: int | None = None
    measures: tuple[Measure, ...] = ()
    nats_label: str = ""

    def reason_to_omit(self, subject: Subject) -> str | None:
        """Why the part does not apply to a model and its data, None where it does."""
        del subject
        return None

    def shares(self, subject: Subject) -> tuple[str, ...]:
        """Names of other parts whose examples it takes."""
        del subject
        return ()

    @abc.abstractmethod
    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """Name to result, each the estimator's own; the names are where the report keeps them."""

    @abc.abstractmethod
    def readings(self, findings: Findings) -> Iterable[Reading]:
        """Every number of the part, in the order of its table; none where nothing was found."""

    def sentences(self, findings: Findings) -> Iterable[str]:
        """What was found, in a sentence or two."""
        del findings
        return ()

    def verdict(self, findings: Findings) -> Verdict | None:
        """What it means for somebody who has to act on it."""
        del findings
        return None

    def nats_by_layer(self, findings: Findings) -> Mapping[str, float]:
        """Layer to nats an example, for the picture of the network; `nats_label` says of what."""
        del findings
        return {}

    def figures(self, findings: Findings) -> Iterable[Drawing]:
        """What to draw, the most telling first."""
        del findings
        return ()

    def seconds_without_trial(self, num_weights: int) -> float | None:
        """What it takes, where that is told without a trial on a few examples."""
        del num_weights
        return None

    def num_bytes(self, num_weights: int, layers: Sequence[HiddenLayer], num_examples: int) -> int:
        """What it holds at most, beside the model and its examples."""
        del num_weights, layers, num_examples
        return 0

    def to_dict(self) -> dict[str, Any]:
        """What the part is, as plain strings, for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "nats_label": self.nats_label,
            "measures": [dataclasses.asdict(measure) for measure in self.measures],
        }

    def reading(
        self, name: str, where: str, value: float, error: float | None = None, beside: str = ""
    ) -> Reading:
        """A number of one of the part's measures."""
        (measure,) = [measure for measure in self.measures if measure.name == name]
        return Reading(self.name, measure, where, value, error, beside)


class LayerPart(AuditPart):
    """A part of the report that is measured layer by layer.

    Its results stand in `report.layers[name]`, those with a name of their own in
    `report.layers[name].others`.

    Attributes:
        narrower: what is taken of a layer with places, such as a convolution, where all of its
            units are left out: the channels averaged over places, those at one place of each
            example, drawn at random, or nothing ("units").
        takes_activations: whether it takes nothing of a layer but `exam.activations`. One pass
            then serves all layers, and a dry run tries it on random numbers.
        most_work: of all layers together; of more, those of most work are left out.
    """

    narrower: View = "units"
    takes_activations: bool = False
    most_work: float = math.inf

    def layers(self, subject: Subject) -> Iterable[HiddenLayer]:
        """Layers it could be about: all whose activations can be had, but the output."""
        return [layer for layer in subject.layers if not layer.is_output]

    def reason_to_omit_layer(
        self, subject: Subject, layer: HiddenLayer, num_examples: int
    ) -> str | None:
        """Why a layer is left out, such as what it would cost; None where it is measured."""
        del subject, layer, num_examples
        return None

    def num_bytes(self, num_weights: int, layers: Sequence[HiddenLayer], num_examples: int) -> int:
        """The activations of a layer, and a copy of them."""
        return max((8 * num_examples * layer.num_units for layer in layers), default=0)

    def chosen(
        self, subject: Subject, layer: HiddenLayer, num_examples: int
    ) -> tuple[HiddenLayer, str | None]:
        """What is taken of a layer, and the reason where it is left out."""
        reason = self.reason_to_omit_layer(subject, layer, num_examples)
        if reason and layer.channels is not None and self.narrower != "units":
            seen = layer.seen_as(self.narrower)
            if self.reason_to_omit_layer(subject, seen, num_examples) is None:
                return seen, None
        return layer, reason

    def beside(self, findings: Findings, layer: str, *words: str) -> str:
        """What to compare a layer's number with, and what was taken of the layer."""
        return "; ".join(each for each in (*words, findings.layers[layer].taken(self.name)) if each)

    def work(self, layer: HiddenLayer, num_examples: int) -> float:
        """In proportion to the seconds that a layer takes, by which a dry run foretells them."""
        return float(num_examples * max(1, layer.num_units))

    @abc.abstractmethod
    def measure_layer(self, exam: Examination, layer: HiddenLayer) -> Mapping[str, Any]:
        """Name to result, for one layer."""

    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """What is found once, after all layers."""
        del exam
        return {}
