"""Part of the report: the information in the weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from keras_infobottleneck import estimators, plots
from keras_infobottleneck.auditing.drawn_code import draw_code
from keras_infobottleneck.auditing.entries import Measure, Reading, Verdict, number_in_words
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.figures import Drawing, bars_by_layer
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.noise import paid_for_weights
from keras_infobottleneck.auditing.part import AuditPart
from keras_infobottleneck.auditing.parts.fisher import NO_FISHER, diagonal_of
from keras_infobottleneck.auditing.performance import TaskPerformance
from keras_infobottleneck.auditing.pruning import Pruning, pruning_by_noise
from keras_infobottleneck.auditing.subject import HiddenLayer, Subject
from keras_infobottleneck.auditing.weights_in_words import (
    has_lost_the_network,
    noise_is_large,
    sentences_on_weights,
    verdict_on_noise,
    verdict_on_weights,
)
from keras_infobottleneck.layers.noisy_layer import noisy_layers

__all__ = ["Weights"]

NUM_PRICES, DECADES = 25, 3
HAS_POSTERIOR = "the weights have a trained posterior, and what it pays is reported instead"
WITHOUT_PRICE = (
    "`weight_beta` is 0, with which a `BetaSchedule` may start and which restored weights bring "
    "back; the nats are those of the posterior as it is, whatever was paid for them"
)


class Weights(AuditPart):
    """Nats in the weights: as charged if they have noise, otherwise by their Gaussian code."""

    name, title = "weights", "Information in the weights"
    nats_label = "in its weights"
    measures = (
        Measure(
            "code",
            "in all weights, by their Gaussian code at weight_beta = 1",
            "nats",
            "local approximation of one code's divergence, from a diagonal, which over-counts",
            "Length of a code for the weights that is only as precise as the loss needs, at one "
            "nat of training loss for each nat. It may be several times the information in the "
            "labels: use it to compare networks, not as the amount that was learned by heart.",
        ),
        Measure(
            "code_per_example",
            "per example, by their Gaussian code",
            "nats per example",
            "local approximation",
            "Compare it with the information in one label: weights with much less cannot hold "
            "the labels by heart, weights with more may or may not.",
        ),
        Measure(
            "code_of",
            "Gaussian code",
            "nats",
            "local approximation",
            "How the nats are divided among the weights; they add up to the total.",
        ),
        Measure(
            "excess_loss",
            "loss that the code's noise adds",
            "nats per example",
            "local approximation, too low where the noise is large",
            "Loss that the limited precision of the code adds, as the curvature predicts it. The "
            "loss of the drawn noise below is the real one.",
        ),
        Measure(
            "drawn_excess_loss",
            "loss that the code's drawn noise adds",
            "nats per example",
            "unbiased for the examples taken; the error is over draws",
            "Measured on networks with drawn weights. If it exceeds the gain of the network over "
            "guessing, networks drawn from a code at this price do no better than guessing, and "
            "its nats do not describe this network.",
        ),
        Measure(
            "working_code",
            "in all weights, by their Gaussian code at the largest price that works",
            "nats",
            "local approximation of one code's divergence, from a diagonal, which over-counts",
            "Nats at the largest price, from 1/N downwards in steps of half a decade, at which "
            "networks drawn from the code still do better than guessing.",
        ),
        Measure(
            "posterior",
            "in all weights with noise",
            "nats",
            "exact divergence from the prior; averaged over training sets, a bound on "
            "I(weights; data)",
            "The divergence that training paid for. A learned prior scale costs nothing here, "
            "and weights without noise, such as biases, are not counted.",
        ),
        Measure(
            "posterior_per_example",
            "per example, paid",
            "nats per example",
            "exact",
            "Compare it with the information in one label: with fewer nats the network cannot "
            "hold all labels by heart, apart from its biases and normalisation.",
        ),
        Measure(
            "posterior_of",
            "paid",
            "nats",
            "exact",
            "How the nats are divided among the weights; they add up to the total.",
        ),
        Measure(
            "kept",
            "weights above the threshold",
            "share of weights",
            "exact",
            "Weights whose |mean| is at least this many standard deviations of their noise; "
            "biases and similar weights are not counted.",
        ),
        Measure(
            "pruned_accuracy",
            "accuracy with the others set to zero",
            "share of labels",
            "exact for the examples taken",
            "If it does not fall, the weights below the threshold hold nothing that the task "
            "needs on these examples.",
        ),
    )

    def reason_to_omit(self, subject: Subject) -> str | None:
        """Omitted without a likelihood, which the code needs; noisy weights do not need one."""
        return subject.reason_without_likelihood if self.shares(subject) else None

    def shares(self, subject: Subject) -> tuple[str, ...]:
        """The examples of the Fisher matrix, for weights without noise."""
        return () if noisy_layers(subject.model, "weights") else ("fisher",)

    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """`weights`, and `pruning` of noisy weights, or the `curve` and drawn code of others."""
        task = exam.results.get("task")
        if noisy_layers(exam.model, "weights"):
            exam.omit("weights", "Gaussian code", HAS_POSTERIOR)
            paid = exam.attempt("weights", "paid", lambda: paid_for_weights(exam.model))
            if paid is not None and paid.beta == 0:
                exam.omit("weights", "price of a nat", WITHOUT_PRICE)

            def pruning() -> Pruning:
                sample = exam.examples("task") if task else None
                rows = exam.eager_batch_size
                return pruning_by_noise(exam.model, sample, task, exam.likelihood, rows)

            return {"weights": paid, "pruning": exam.attempt("weights", "pruning", pruning)}
        fisher = diagonal_of(exam)
        if fisher is None:
            exam.omit("weights", "all", NO_FISHER)
            return {}
        return {
            "weights": exam.attempt("weights", "Gaussian code", lambda: _code(exam, fisher)),
            "curve": exam.attempt("weights", "other prices", lambda: _curve(exam, fisher, task)),
            "drawn_code": exam.attempt(
                "weights", "drawn code", lambda: draw_code(exam, fisher, task)
            ),
        }

    def num_bytes(self, num_weights: int, layers: Sequence[HiddenLayer], num_examples: int) -> int:
        """The diagonal, the nats of each weight in double precision, and drawn weights."""
        return 24 * num_weights

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """Total nats, nats per example, the loss of the noise, pruning, and nats by weight."""
        held, pruning = findings.weights, findings.pruning
        kind = "posterior" if held is not None and held.structure == "posterior" else "code"
        if held is not None:
            yield from self._of_all(findings, kind)
        if pruning is not None:
            for number, threshold in enumerate(pruning.thresholds):
                where = f"signal-to-noise {threshold:g}"
                weights = f"{pruning.num_weights:,} weights"
                yield self.reading("kept", where, float(pruning.kept[number]), None, weights)
                if len(pruning.accuracy):
                    accuracy = float(pruning.accuracy[number])
                    of = f"{pruning.num_examples:,} examples"
                    yield self.reading("pruned_accuracy", where, accuracy, None, of)
        if held is not None:
            for path, nats in held.by_variable.items():
                yield self.reading(f"{kind}_of", path, nats)

    def _of_all(self, findings: Findings, kind: str) -> Iterable[Reading]:
        """The numbers about all weights together."""
        held: Any = findings.weights  # not None, because the part was measured
        labels_hold = findings.label_nats
        error = held.standard_error or None
        of_labels = ("", "")
        if labels_hold is not None:
            total = number_in_words(labels_hold * held.num_examples)
            one = f"{findings.labels_in_words}: {labels_hold:.4g}"
            of_labels = (f"all labels: {total}", one)
        drawn: Any = findings.others.get("drawn_code")
        if has_lost_the_network(findings):
            price = f"weight_beta = {drawn.beta * held.num_examples:.3g}"
            yield self.reading("working_code", "", drawn.nats, None, price)
        yield self.reading(kind, "", held.nats, error, of_labels[0])
        per_example = held.nats_per_example
        error = error / held.num_examples if error else None
        yield self.reading(f"{kind}_per_example", "", per_example, error, of_labels[1])
        if held.excess_loss is not None:
            guess = "" if labels_hold is None else f"loss of guessing: {labels_hold:.4g}"
            if noise_is_large(findings):
                guess += ", of which this is no small part"
            yield self.reading("excess_loss", "", held.excess_loss, None, guess)
        if drawn is not None:
            guess = f"loss of guessing: {drawn.loss_of_guessing:.4g}"
            at_full = drawn.excess_loss_at_full_price
            error = drawn.standard_error_at_full_price
            yield self.reading("drawn_excess_loss", "", at_full, error, guess)

    def sentences(self, findings: Findings) -> Iterable[str]:
        """The nats compared with those of the labels, and whether they are reliable."""
        return sentences_on_weights(findings)

    def verdict(self, findings: Findings) -> Verdict | None:
        """Whether the weights hold enough nats to have memorised the labels."""
        return verdict_on_weights(findings) or verdict_on_noise(findings)

    def nats_by_layer(self, findings: Findings) -> Mapping[str, float]:
        """Nats in the weights of each layer, divided by the number of training examples."""
        held = findings.weights
        found: dict[str, float] = {}
        if held is None:
            return found
        lost = has_lost_the_network(findings)
        nats_of = findings.others["drawn_code"].by_variable if lost else held.by_variable
        for path, nats in nats_of.items():
            layer = path.split("/")[-2] if "/" in path else path
            found[layer] = found.get(layer, 0.0) + nats / held.num_examples
        return found

    def figures(self, findings: Findings) -> Iterable[Drawing]:
        """Nats by weight or layer, at other prices, and after pruning the noisiest weights."""
        held, curve, pruning = findings.weights, findings.curve, findings.pruning
        if held is not None:
            name = "layer" if held.structure == "posterior" else "weight"
            yield from bars_by_layer(f"Nats by {name}.", held.by_variable, name=name)
        if curve is not None and np.all(curve.nats > 0):
            loss = curve.expected_loss if np.all(np.isfinite(curve.expected_loss)) else None
            caption = (
                "Nats that the code holds at each price of a nat, and the loss under its noise; "
                "the dotted line is the price 1/N, weight_beta = 1. Where the loss nears that of "
                "guessing, the approximation has ended."
            )
            options = {"marked": 1 / curve.num_examples}
            draw = partial(plots.plot_information_curve, curve.beta, curve.nats, loss, **options)
            yield Drawing(caption, draw)
        if pruning is not None:
            caption = "Share of the weights at or above a signal-to-noise ratio"
            options = {}
            if len(pruning.accuracy):
                caption += ", and the accuracy with the others set to zero"
                options = {"thresholds": pruning.thresholds, "scores": pruning.accuracy}
            draw = partial(plots.plot_pruning_curve, pruning.quantiles, **options)
            yield Drawing(f"{caption}.", draw)


def _code(exam: Examination, fisher: estimators.FisherInformation) -> estimators.WeightInformation:
    """The Gaussian code at a price of one nat of training loss per nat."""
    held = estimators.information_in_weights(exam.model, fisher, beta=exam.beta)
    # The Fisher matrix is of a sample; the nats are divided by the size of the whole training set.
    return dataclasses.replace(held, num_examples=exam.num_examples)


def _curve(
    exam: Examination, fisher: estimators.FisherInformation, task: TaskPerformance | None
) -> estimators.InformationCurve:
    """The Gaussian code at other prices; without labels the loss is not known."""
    found = estimators.information_curve(
        exam.model,
        fisher,
        beta=(np.geomspace(10.0**-DECADES, 10.0**DECADES, NUM_PRICES) * exam.beta).tolist(),
        loss=task.loss if task else 0.0,
    )
    unknown: dict[str, Any] = (
        {} if task else {"loss": np.nan, "expected_loss": found.expected_loss + np.nan}
    )
    return dataclasses.replace(found, num_examples=exam.num_examples, **unknown)
