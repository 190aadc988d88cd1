"""Part of the report: resolution and relevance of hidden states."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from keras_infobottleneck import estimators, plots
from keras_infobottleneck.auditing.entries import Measure, Reading, Verdict
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.figures import Drawing
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.part import LayerPart
from keras_infobottleneck.auditing.subject import HiddenLayer, Subject, reason_too_wide

__all__ = ["Relevance"]


class Relevance(LayerPart):
    """Entropy of the binary states of a layer, and of their frequencies."""

    name, title, examples = "relevance", "Resolution and relevance of hidden states", 2_000
    narrower, takes_activations = "place", True
    measures = (
        Measure(
            "resolution",
            "resolution",
            "log M",
            "exact for the sample of M examples",
            "Entropy of the on-off states of the units. Near 1, nearly every example has a state "
            "of its own; more examples would change that, without any change of the layer.",
        ),
        Measure(
            "relevance",
            "relevance",
            "log M",
            "exact for the sample; biased for its source",
            "Entropy of the frequencies of states. Counting noise alone creates relevance: only "
            "an excess over the null of independent units at the same resolution comes from the "
            "layer.",
        ),
    )

    def reason_to_omit_layer(
        self, subject: Subject, layer: HiddenLayer, num_examples: int
    ) -> str | None:
        """Omitted for wide layers, in which every example has a distinct state."""
        return reason_too_wide(layer)

    def measure_layer(self, exam: Examination, layer: HiddenLayer) -> Mapping[str, Any]:
        """Relevance of the binary states and its null, if some states recur and others do not."""
        z = exam.activations("relevance", layer)
        # A sigmoid is never off at 0.
        threshold = 0.0 if z.min() <= 0.0 else float(np.median(z))
        states = z > threshold
        point = exam.attempt(
            "relevance", layer.name, lambda: estimators.resolution_relevance(states)
        )
        null = None
        if point and 1 < point.num_states < point.num_samples:
            null = exam.attempt(
                "relevance",
                f"null of {layer.name}",
                lambda: estimators.relevance_null(states, seed=exam.seed),
            )
        return {
            "threshold": threshold,
            "relevance": point,
            "relevance_null": null,
        }

    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """The largest relevance that this number of examples can have."""
        if not any(results.get("relevance") for results in exam.layers.values()):
            return {}
        size = exam.examples("relevance").size
        return {"maximum_relevance": estimators.maximum_relevance_curve(size)}

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """Both numbers of each layer, with the null and the largest possible value."""
        possible: Any = findings.maximum_relevance  # measured wherever a layer was
        for name, point in findings.results_of_layers("relevance").items():
            layer = findings.layers[name]
            states = f"{point.num_states:,} states of M = {point.num_samples:,}"
            if point.num_states == point.num_samples:
                states += ": no two alike, so nothing can be told"
            if layer.threshold:
                states += f", on above {layer.threshold:.3g}"
            states = self.beside(findings, name, states)
            yield self.reading("resolution", name, point.resolution, None, states)
            most = possible.at(point.resolution)
            beside = f"most possible here, to 0.003: {most:.4g}"
            if layer.relevance_null is not None:
                mean, std = layer.relevance_null.at(point.resolution)
                at = "none at this resolution" if math.isnan(mean) else f"{mean:.4g} ± {std:.2g}"
                beside = f"null: {at}; {beside}"
            if point.num_states < point.num_samples:
                yield self.reading("relevance", name, point.relevance, None, beside)

    def verdict(self, findings: Findings) -> Verdict | None:
        """The layer whose states are organised beyond counting noise."""
        points = findings.results_of_layers("relevance")
        if not points:
            return None
        above, told = {}, 0
        for name, point in points.items():
            null = findings.layers[name].relevance_null
            if null is None or point.num_states == point.num_samples:
                continue
            mean, std = null.at(point.resolution)
            if math.isfinite(mean):
                told += 1
                above[name] = (point.relevance - mean, std)
        count = max(point.num_samples for point in points.values())
        if not told:
            return Verdict(
                f"Nothing can be told from {count:,} examples: nearly every one has a state of "
                "its own, or all have the same. Give the part relevance more `examples`, or name "
                "narrower `layers`.",
                f"{len(points)} layers, none with a null at its resolution",
                "more examples may change it",
                1,
            )
        name = max(above, key=lambda each: above[each][0])
        excess, std = above[name]
        evidence = f"relevance {excess:+.2g} log M to the null, whose spread is {std:.1g}"
        unsure = f"exact for these {count:,} examples; biased for the source they come from"
        if excess > 2 * std:
            statement = (
                f"The states of layer {name} are organised: they recur in more different ways than "
                "those of independent units."
            )
        else:
            statement = "No layer's states recur otherwise than those of independent units."
        return Verdict(statement, evidence, unsure, 0)

    def figures(self, findings: Findings) -> Iterable[Drawing]:
        """Layers on the plane, each with its null at equal resolution."""
        points, nulls = {}, []
        for name, point in findings.results_of_layers("relevance").items():
            if point.num_states == point.num_samples:
                continue
            points[name] = point
            null = findings.layers[name].relevance_null
            mean = math.nan if null is None else null.at(point.resolution)[0]
            if not math.isnan(mean):
                nulls.append((point.resolution, mean))
        possible = findings.maximum_relevance
        if not points or possible is None:
            return
        caption = (
            "Layers in their order, with the most relevance that a sample of this size can have; "
            "crosses are what independent units show at the same resolution."
        )
        draw = partial(
            plots.plot_resolution_relevance,
            [point.resolution for point in points.values()],
            [point.relevance for point in points.values()],
            labels=list(points),
            hull=possible.hull(),
            null=tuple(zip(*nulls, strict=True)) if nulls else None,
            name="layers",
        )
        yield Drawing(caption, draw, 4.2)
