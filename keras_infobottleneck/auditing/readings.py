"""What was found, in short sentences and number by number beside what each is compared with."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from keras_infobottleneck.auditing.entries import Reading, number_in_words
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.measures import MEASURES

__all__ = ["in_short", "readings_of"]

# When 1/2 log det(I + C^T G^T S^-1 G C) is infinite.
WITHOUT_NOISE = "where units move with the input (G) in a direction without noise (S singular)"


def in_short(findings: Findings) -> list[str]:
    """A sentence on the task, on the weights, on each kind of layer and on what is missing."""
    sentences = []
    task, held, complexity = findings.task, findings.weights, findings.complexity
    if task is not None and task.accuracy is not None:
        sentences.append(
            f"It is right on {task.accuracy:.2%} of {task.num_examples:,} of the examples given, "
            f"at a loss of {task.loss:.3g} nats."
        )
    elif task is not None:
        law = ""
        if task.likelihood == "normal":
            law = ", of a normal law with variance 1 around the output, whatever the labels' scale"
        sentences.append(
            f"Its loss on {task.num_examples:,} examples is {task.loss:.4g} nats{law}."
        )
    if held is not None:
        held_how = "hold, by their Gaussian code,"
        if held.structure == "posterior":
            held_how = "pay for" if held.beta else "hold, at a price of 0,"
        labels = ""
        if task is not None and task.label_entropy is not None:
            labels = f", where one label holds at most {task.label_entropy:.3g}"
        sentences.append(
            f"Its weights {held_how} "
            f"{number_in_words(held.nats)} nats: {held.nats_per_example:.3g} per example{labels}."
        )
    if findings.noise_is_large:
        sentences.append(
            "These nats are good to a factor of two or three at best: the code's noise would add "
            f"{held.excess_loss:.3g} nats of loss, which is not small."
        )
    for name, layer in findings.layers.items():
        if layer.activations is not None:
            sentences.append(
                f"Layer {name} pays for {number_in_words(layer.activations.nats)} nats about each "
                "input."
            )
    layers = findings.layers.items()
    told = {name: layer.nuisance for name, layer in layers if layer.nuisance is not None}
    if told:
        name, most = max(told.items(), key=lambda item: item[1].nats)
        sentences.append(
            f"Of the nuisance, layer {name} tells most: {most.nats:.3g} ± "
            f"{most.standard_error:.2g} nats (null {most.null:.2g})."
        )
    if complexity is not None:
        sentences.append(
            f"Quantised to {complexity.num_bits} bits, its weights are "
            f"{complexity.shuffled_ratio:.4g} times as complex as when shuffled."
        )
    if findings.omissions:
        count = len(findings.omissions)
        things = "thing was" if count == 1 else "things were"
        sentences.append(f"{count} {things} not measured; the reasons are below.")
    return sentences


def readings_of(findings: Findings) -> list[Reading]:
    """Every number, in the order of a report."""
    sources = (_of_task, _of_fisher, _of_weights, _of_layers, _of_complexity)
    found = [reading for source in sources for reading in source(findings)]
    order = list(MEASURES.values())
    parts = [measure.part for measure in order]
    return sorted(found, key=lambda reading: parts.index(reading.measure.part))


def _of_task(findings: Findings) -> Iterator[Reading]:
    task = findings.task
    if task is None:
        return
    beside = []
    if task.label_entropy is not None:
        beside.append(f"knowing only how frequent classes are: {task.label_entropy:.4g}")
    if (task.labels_per_example or 1) > 1:
        count = f"{task.labels_per_example:,}"
        beside.append(f"summed over {count} labels, where Keras takes the mean within each output")
    yield Reading("loss", "", task.loss, task.loss_standard_error, "; ".join(beside))
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


def _of_fisher(findings: Findings) -> Iterator[Reading]:
    if findings.fisher is None:
        return
    trace = findings.fisher.trace()
    error = trace.standard_error if findings.fisher.labels == "sampled" else None
    yield Reading("fisher_trace", "", float(trace), error)
    if findings.output_derivatives is not None:
        derivatives = findings.output_derivatives
        yield Reading("output_derivatives", "", float(derivatives), derivatives.standard_error)
    # log det(I + N F) = log det(F + I / N) + k log N
    count = findings.num_examples
    logdet = findings.fisher.logdet(1 / count) + findings.fisher.size * math.log(count)
    yield Reading("excess_logdet", "", logdet)
    for path, each in findings.fisher.by_variable().items():
        yield Reading("fisher_trace", path, each["trace"], None, f"{each['size']:,} weights")


def _of_weights(findings: Findings) -> Iterator[Reading]:
    held, pruning = findings.weights, findings.pruning
    labels_hold = getattr(findings.task, "label_entropy", None)
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
            if findings.noise_is_large:
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


def _of_layers(findings: Findings) -> Iterator[Reading]:
    hull = findings.maximum_relevance
    for name, layer in findings.layers.items():
        if layer.activations is not None:
            paid = layer.activations
            price = f"price of a nat: {paid.beta:.4g}"
            yield Reading("activation_information", name, paid.nats, paid.standard_error, price)
    for name, layer in findings.layers.items():
        if layer.effective is not None:
            felt = layer.effective
            error = felt.standard_error if math.isfinite(felt.nats) else None
            units = f"{felt.num_units:,} units, {felt.num_examples} examples"
            endless = int(np.sum(np.isinf(felt.per_example)))
            if endless:
                units += f"; {endless} infinite, {WITHOUT_NOISE}"
            yield Reading("effective_information", name, felt.nats, error, units)
    for name, layer in findings.layers.items():
        if layer.relevance is not None:
            point, null = layer.relevance, layer.relevance_null
            states = f"{point.num_states:,} states of M = {point.num_samples:,}"
            if point.num_states == point.num_samples:
                states += ": no two alike, so nothing can be told"
            if layer.threshold:
                states += f", on above {layer.threshold:.3g}"
            yield Reading("resolution", name, point.resolution, None, states)
            beside = f"most possible here, to 0.003: {hull.at(point.resolution):.4g}"
            if null is not None:
                mean, std = null.at(point.resolution)
                at = "none at this resolution" if math.isnan(mean) else f"{mean:.4g} ± {std:.2g}"
                beside = f"null: {at}; {beside}"
            if point.num_states < point.num_samples:
                yield Reading("relevance", name, point.relevance, None, beside)
    for name, layer in findings.layers.items():
        if layer.total_correlation is not None:
            tc = layer.total_correlation
            beside = f"null: {number_in_words(tc.null, tc.null_std)}; {tc.num_units:,} units"
            yield Reading("total_correlation", name, tc.nats, tc.standard_error, beside)
    for name, layer in findings.layers.items():
        if layer.nuisance is not None:
            told = layer.nuisance
            beside = f"null: {told.null:.3g}; at least {told.lower_bound:.3g} by its lower bound"
            if math.isfinite(told.upper_bound):
                beside += f"; all there is: {told.upper_bound:.4g}"
            yield Reading("nuisance", name, told.nats, told.standard_error, beside)


def _of_complexity(findings: Findings) -> Iterator[Reading]:
    found = findings.complexity
    if found is None:
        return
    yield Reading("complexity", "", found.total_bits)
    shuffled = found.against_shuffled
    yield Reading("complexity_ratio", "", shuffled.value, shuffled.std, "null: 1")
    for path, ratio in shuffled.by_layer.items():
        full = f"null: 1; fullest plane holds {found.saturation[path]:.1%} of all blocks"
        yield Reading("complexity_ratio", path, ratio, None, full)
