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

    Attributes:
        name: by which `include` and `examples` refer to the part, and under which it is kept.
        title: its heading.
        examples: how many examples it takes by default; None where it takes no data.
        measures: the kinds of number it gives, each with its unit, its truth and how it misleads.
        nats_label: what `nats_by_layer` are nats of, such as "in its weights".

    Example:
        ```python
        import keras
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

        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="head")])
        x = np.ones((4, 2), "float32")
        report = kib.audit(model, x, parts=[Norms()], include=["norms"], likelihood="normal")
        print([reading.where for reading in report.readings])
        ```

        ```text
        ['sequential/head/kernel', 'sequential/head/bias']
        ```
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
        """Names of other parts whose examples this part uses too."""
        del subject
        return ()

    @abc.abstractmethod
    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """Maps names to results of estimators; the report keeps them under these names."""

    @abc.abstractmethod
    def readings(self, findings: Findings) -> Iterable[Reading]:
        """Every number of the part, in the order of its table; none where nothing was found."""

    def sentences(self, findings: Findings) -> Iterable[str]:
        """What was found, in a sentence or two."""
        del findings
        return ()

    def verdict(self, findings: Findings) -> Verdict | None:
        """The conclusion of the part, for somebody who has to act on it."""
        del findings
        return None

    def nats_by_layer(self, findings: Findings) -> Mapping[str, float]:
        """Maps layers to nats per example, for the picture of the network."""
        del findings
        return {}

    def figures(self, findings: Findings) -> Iterable[Drawing]:
        """What to draw, the most telling first."""
        del findings
        return ()

    def seconds_without_trial(self, num_weights: int) -> float | None:
        """Estimated seconds, where they are known without a trial on a few examples."""
        del num_weights
        return None

    def num_bytes(self, num_weights: int, layers: Sequence[HiddenLayer], num_examples: int) -> int:
        """Most bytes that the part needs, beside the model and its examples."""
        del num_weights, layers, num_examples
        return 0

    def to_dict(self) -> dict[str, Any]:
        """Returns the description of the part as plain strings, for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "nats_label": self.nats_label,
            "measures": [dataclasses.asdict(measure) for measure in self.measures],
        }

    def reading(
        self, name: str, where: str, value: float, error: float | None = None, beside: str = ""
    ) -> Reading:
        """Make a reading: a number of one of the measures of the part."""
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

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib
        from keras_infobottleneck.auditing import LayerPart, Measure

        class Firing(LayerPart):
            name, title, examples = "firing", "How often units are on", 40
            measures = (Measure("firing", "share on", "share", "exact", "A sigmoid is always on."),)

            def measure_layer(self, exam, layer):
                return {"firing": float(np.mean(exam.activations(self.name, layer) > 0))}

            def readings(self, findings):
                for name, share in findings.results_of_layers("firing").items():
                    yield self.reading("firing", name, share)

        hidden = keras.layers.Dense(3, activation="relu", kernel_initializer="ones", name="hidden")
        model = keras.Sequential([keras.Input((2,)), hidden, keras.layers.Dense(2)])
        x = np.ones((40, 2), "float32")
        report = kib.audit(model, x, parts=[Firing()], include=["firing"], likelihood="normal")
        print([(reading.where, reading.value) for reading in report.readings])
        ```

        ```text
        [('hidden', 1.0)]
        ```
    """

    narrower: View = "units"
    takes_activations: bool = False
    most_work: float = math.inf

    def layers(self, subject: Subject) -> Iterable[HiddenLayer]:
        """Layers that can be measured: all with recorded activations, except the output."""
        return [layer for layer in subject.layers if not layer.is_output]

    def reason_to_omit_layer(
        self, subject: Subject, layer: HiddenLayer, num_examples: int
    ) -> str | None:
        """Why a layer is left out, such as what it would cost; None where it is measured."""
        del subject, layer, num_examples
        return None

    def num_bytes(self, num_weights: int, layers: Sequence[HiddenLayer], num_examples: int) -> int:
        """Bytes of the activations of a layer and one copy of them."""
        return max((8 * num_examples * layer.num_units for layer in layers), default=0)

    def chosen(
        self, subject: Subject, layer: HiddenLayer, num_examples: int
    ) -> tuple[HiddenLayer, str | None]:
        """View of a layer that is taken, and the reason where the layer is left out."""
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
        """Number in proportion to the seconds that a layer takes, for the estimate of a dry run."""
        return float(num_examples * max(1, layer.num_units))

    @abc.abstractmethod
    def measure_layer(self, exam: Examination, layer: HiddenLayer) -> Mapping[str, Any]:
        """Maps names to results, for one layer."""

    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """Measure all layers, then what is about all of them together."""
        del exam
        return {}
