"""The numbers of a report, each once, beside what it is to be compared with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from keras_infobottleneck.auditing.measures import MEASURES, Measure

if TYPE_CHECKING:
    from keras_infobottleneck.auditing.report import InformationReport

__all__ = ["Reading", "counterparts", "number_in_words", "readings_of"]


@dataclasses.dataclass(frozen=True)
class Reading:
    """One number.

    Attributes:
        name: of its measure.
        where: layer or weight, "" for the whole model.
        value: in the measure's unit.
        standard_error: None where there is none.
        beside: what to compare it with, a null for the most part, in words.
    """

    name: str
    where: str
    value: float
    standard_error: float | None = None
    beside: str = ""

    @property
    def measure(self) -> Measure:
        """What kind of number it is."""
        return MEASURES[self.name]

    @property
    def label(self) -> str:
        """Measure and place."""
        return f"{self.where}: {self.measure.label}" if self.where else self.measure.label

    @property
    def text(self) -> str:
        """Number and error, for people."""
        return number_in_words(self.value, self.standard_error)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        return {**dataclasses.asdict(self), "unit": self.measure.unit}


def number_in_words(value: float, error: float | None = None) -> str:
    """Four digits, or as many as an error in two digits allows; infinity in letters."""
    if not math.isfinite(value):
        return "infinite" if value > 0 else str(value)
    if error is None or not 0 < error < math.inf:
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:,.{decimals}f} ± {error:,.{decimals}f}"


def readings_of(report: InformationReport) -> list[Reading]:
    """Every number of a report, in its order."""
    sources = (_of_task, _of_fisher, _of_weights, _of_layers, _of_complexity)
    found = [reading for source in sources for reading in source(report)]
    order = list(MEASURES.values())
    parts = [measure.part for measure in order]
    return sorted(found, key=lambda reading: parts.index(reading.measure.part))


def counterparts(
    readings: list[Reading], baseline: list[Reading]
) -> dict[tuple[str, str], Reading]:
    """The baseline's number for each that has one: of the same measure at the same place.

    Paths of weights change where a network is converted or held by another
    (`sequential/dense/kernel`, `dense/kernel`): what is left over is matched by layer and weight,
    where that names one number on either side.
    """
    theirs = {(reading.name, reading.where): reading for reading in baseline}
    found = {
        (reading.name, reading.where): theirs.pop((reading.name, reading.where))
        for reading in readings
        if (reading.name, reading.where) in theirs
    }
    left = [reading for reading in readings if (reading.name, reading.where) not in found]
    mine, others = _by_layer_and_weight(left), _by_layer_and_weight(theirs.values())
    for key in mine.keys() & others.keys():
        if len(mine[key]) == len(others[key]) == 1:
            found[mine[key][0].name, mine[key][0].where] = others[key][0]
    return found


def _by_layer_and_weight(readings: Iterable[Reading]) -> dict[tuple[str, ...], list[Reading]]:
    """Numbers by measure and the end of a weight's path."""
    found: dict[tuple[str, ...], list[Reading]] = {}
    for reading in readings:
        if "/" in reading.where:
            key = (reading.name, *reading.where.split("/")[-2:])
            found.setdefault(key, []).append(reading)
    return found


def _of_task(report: InformationReport) -> Iterator[Reading]:
    task = report.task
    if task is None:
        return
    guessing = ""
    if task.label_entropy is not None:
        guessing = f"knowing only how frequent classes are: {task.label_entropy:.4g}"
    yield Reading("loss", "", task.loss, task.loss_standard_error, guessing)
    if task.accuracy is not None:
        yield Reading(
            "accuracy",
            "",
            task.accuracy,
            task.accuracy_standard_error,
            f"the most frequent class: {task.most_frequent:.4g}",
        )
        yield Reading(
            "prediction_entropy",
            "",
            task.prediction_entropy,
            None,
            f"entropy of the labels: {task.label_entropy:.4g}",
        )


def _of_fisher(report: InformationReport) -> Iterator[Reading]:
    if report.fisher is None:
        return
    trace = report.fisher.trace()
    error = trace.standard_error if report.fisher.labels == "sampled" else None
    yield Reading("fisher_trace", "", float(trace), error)
    if report.output_derivatives is not None:
        derivatives = report.output_derivatives
        yield Reading("output_derivatives", "", float(derivatives), derivatives.standard_error)
    # log det(I + N F) = log det(F + I / N) + k log N
    count = report.num_examples
    logdet = report.fisher.logdet(1 / count) + report.fisher.size * math.log(count)
    yield Reading("excess_logdet", "", logdet)
    for path, each in report.fisher.by_variable().items():
        yield Reading("fisher_trace", path, each["trace"], None, f"{each['size']:,} weights")


def _of_weights(report: InformationReport) -> Iterator[Reading]:
    held, pruning = report.weights, report.pruning
    labels_hold = getattr(report.task, "label_entropy", None)
    if held is not None:
        kind = "posterior" if held.structure == "posterior" else "code"
        error = held.standard_error or None
        of_labels = ("", "")
        if labels_hold is not None:
            total = number_in_words(labels_hold * held.num_examples)
            of_labels = (f"all labels: {total}", f"one label: {labels_hold:.4g}")
        yield Reading(kind, "", held.nats, error, of_labels[0])
        per_example = held.nats_per_example
        error = error / held.num_examples if error else None
        yield Reading(f"{kind}_per_example", "", per_example, error, of_labels[1])
        if held.excess_loss is not None:
            guess = "" if labels_hold is None else f"loss of guessing: {labels_hold:.4g}"
            if report.noise_is_large:
                guess += ", of which this is no small part"
            yield Reading("excess_loss", "", held.excess_loss, None, guess)
    if pruning is not None:
        for number, threshold in enumerate(pruning.thresholds):
            where = f"signal-to-noise {threshold:g}"
            weights = f"{pruning.num_weights:,} weights"
            yield Reading("kept", where, float(pruning.kept[number]), None, weights)
            if len(pruning.accuracy):
                accuracy = float(pruning.accuracy[number])
                of = f"{pruning.num_examples:,} examples"
                yield Reading("pruned_accuracy", where, accuracy, None, of)
    if held is not None:
        for path, nats in held.by_variable.items():
            yield Reading(f"{kind}_of", path, nats)


def _of_layers(report: InformationReport) -> Iterator[Reading]:
    hull = report.maximum_relevance
    for name, layer in report.layers.items():
        if layer.activations is not None:
            paid = layer.activations
            price = f"price of a nat: {paid.beta:.4g}"
            yield Reading("activation_information", name, paid.nats, paid.standard_error, price)
    for name, layer in report.layers.items():
        if layer.effective is not None:
            felt = layer.effective
            error = felt.standard_error if math.isfinite(felt.nats) else None
            units = f"{felt.num_units:,} units, {felt.num_examples} examples"
            yield Reading("effective_information", name, felt.nats, error, units)
    for name, layer in report.layers.items():
        if layer.relevance is not None:
            point, null = layer.relevance, layer.relevance_null
            states = f"{point.num_states:,} states of M = {point.num_samples:,}"
            if point.num_states == point.num_samples:
                states += ": no two alike, so nothing can be told"
            if layer.threshold:
                states += f", on above {layer.threshold:.3g}"
            yield Reading("resolution", name, point.resolution, None, states)
            beside = f"most possible here, to 0.001: {hull.at(point.resolution):.4g}"
            if null is not None:
                mean, std = null.at(point.resolution)
                at = "none at this resolution" if math.isnan(mean) else f"{mean:.4g} ± {std:.2g}"
                beside = f"null: {at}; {beside}"
            if point.num_states < point.num_samples:
                yield Reading("relevance", name, point.relevance, None, beside)
    for name, layer in report.layers.items():
        if layer.total_correlation is not None:
            tc = layer.total_correlation
            beside = f"null: {number_in_words(tc.null, tc.null_std)}; {tc.num_units:,} units"
            yield Reading("total_correlation", name, tc.nats, tc.standard_error, beside)
    for name, layer in report.layers.items():
        if layer.nuisance is not None:
            told = layer.nuisance
            beside = f"null: {told.null:.3g}; at least {told.lower_bound:.3g} by its lower bound"
            if math.isfinite(told.upper_bound):
                beside += f"; all there is: {told.upper_bound:.4g}"
            yield Reading("nuisance", name, told.nats, told.standard_error, beside)


def _of_complexity(report: InformationReport) -> Iterator[Reading]:
    found = report.complexity
    if found is None:
        return
    yield Reading("complexity", "", found.total_bits)
    shuffled = found.against_shuffled
    yield Reading("complexity_ratio", "", shuffled.value, shuffled.std, "null: 1")
    for path, ratio in shuffled.by_layer.items():
        full = f"null: 1; fullest plane holds {found.saturation[path]:.1%} of all blocks"
        yield Reading("complexity_ratio", path, ratio, None, full)
