"""The base classes of parts of the report: what to measure, and how to present it."""

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

    To add your own part, pass an instance of a subclass: `audit(model, data, parts=[MyPart()])`. It
    is included in the plan, the table, the page and the JSON file like any other, can be left out
    by `include`, and an error that it raises becomes an omission. `LayerPart` is for measurements
    layer by layer.

    Attributes:
        name: Name by which `include` and `examples` refer to the part, and under which it is
            stored.
        title: Heading of the part.
        examples: Default number of examples; None if it uses no data.
        measures: Kinds of number that it gives, each with its unit, its truth and how it misleads.
        nats_label: Description of the nats in `nats_by_layer`, such as "in its weights".

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
        """Why the part does not apply to a model and its data; None if it does."""
        del subject
        return None

    def shares(self, subject: Subject) -> tuple[str, ...]:
        """Names of other parts whose examples this part also uses."""
        del subject
        return ()

    @abc.abstractmethod
    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """Maps names to results of estimators; the report stores them under these names."""

    @abc.abstractmethod
    def readings(self, findings: Findings) -> Iterable[Reading]:
        """Every number of the part, in the order of its table; empty if there are none."""

    def sentences(self, findings: Findings) -> Iterable[str]:
        """A summary of the results, in one or two sentences."""
        del findings
        return ()

    def verdict(self, findings: Findings) -> Verdict | None:
        """The conclusion of the part, for readers who have to act on it."""
        del findings
        return None

    def nats_by_layer(self, findings: Findings) -> Mapping[str, float]:
        """Maps layers to nats per example, for the picture of the network."""
        del findings
        return {}

    def figures(self, findings: Findings) -> Iterable[Drawing]:
        """The figures of the part, the most informative first."""
        del findings
        return ()

    def seconds_without_trial(self, num_weights: int) -> float | None:
        """Estimated seconds, if they are known without a trial on a few examples."""
        del num_weights
        return None

    def num_bytes(self, num_weights: int, layers: Sequence[HiddenLayer], num_examples: int) -> int:
        """Largest number of bytes that the part needs, besides the model and its examples."""
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
        """Makes a reading: a number of one of the measures of the part."""
        (measure,) = [measure for measure in self.measures if measure.name == name]
        return Reading(self.name, measure, where, value, error, beside)


class LayerPart(AuditPart):
    """A part of the report that is measured layer by layer.

    Its results are stored in `report.layers[name]`, those without a field there in
    `report.layers[name].others`.

    Attributes:
        narrower: What is used of a layer with places, such as a convolution, if using all of its
            units is not possible: the channels averaged over places, those at one place of each
            example, drawn at random, or nothing ("units").
        takes_activations: Whether it uses only `exam.activations` of a layer. Then one pass
            serves all layers, and a dry run tries it on random numbers.
        most_work: Largest work of all layers together; if it is exceeded, the layers with the most
            work are left out.

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
        """Why a layer is left out, such as its cost; None if it is measured."""
        del subject, layer, num_examples
        return None

    def num_bytes(self, num_weights: int, layers: Sequence[HiddenLayer], num_examples: int) -> int:
        """Number of bytes for the activations of a layer and one copy of them."""
        return max((8 * num_examples * layer.num_units for layer in layers), default=0)

    def chosen(
        self, subject: Subject, layer: HiddenLayer, num_examples: int
    ) -> tuple[HiddenLayer, str | None]:
        """The view of a layer that is used, and the reason if the layer is left out."""
        reason = self.reason_to_omit_layer(subject, layer, num_examples)
        if reason and layer.channels is not None and self.narrower != "units":
            seen = layer.seen_as(self.narrower)
            if self.reason_to_omit_layer(subject, seen, num_examples) is None:
                return seen, None
        return layer, reason

    def beside(self, findings: Findings, layer: str, *words: str) -> str:
        """What to compare a layer's number with, and what was used of the layer."""
        return "; ".join(each for each in (*words, findings.layers[layer].taken(self.name)) if each)

    def work(self, layer: HiddenLayer, num_examples: int) -> float:
        """Work in proportion to the seconds for a layer, for the estimate of a dry run."""
        return float(num_examples * max(1, layer.num_units))

    @abc.abstractmethod
    def measure_layer(self, exam: Examination, layer: HiddenLayer) -> Mapping[str, Any]:
        """Maps names to results, for one layer."""

    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """Measures what concerns all layers together, after each was measured."""
        del exam
        return {}
