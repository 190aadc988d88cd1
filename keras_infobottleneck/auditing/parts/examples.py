"""Part of the report: the examples that the weights remember."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_infobottleneck.auditing.entries import Measure, Reading, Verdict, number_in_words
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.part import AuditPart
from keras_infobottleneck.auditing.parts.fisher import NO_FISHER, diagonal_of
from keras_infobottleneck.auditing.subject import HiddenLayer, Subject
from keras_infobottleneck.estimators import FisherInformation, unique_information
from keras_infobottleneck.estimators.fisher.rules.gradients import BLOCK_BYTES
from keras_infobottleneck.layers.noisy_layer import noisy_layers
from keras_infobottleneck.results.result import Result

__all__ = ["Examples", "RememberedExamples"]

HAS_POSTERIOR = "the weights have a posterior; `posterior_influence` tells what examples do to it"
NO_LABELS = "it takes labels"
# If one percent of the examples has more than this share of all nats, it stands out.
UNEVEN = 0.1
# Copies of the weights: two powers of every entry in float32, and float64 while they are computed.
POWER_COPIES = 8
# Number of examples that the report lists.
MOST = 10


@dataclasses.dataclass(frozen=True, repr=False)
class RememberedExamples(Result):
    """Nats that single examples contribute to the weights: a summary, and the largest ones.

    Attributes:
        mean_nats: Mean over the examples used.
        standard_error: Standard error of the mean, over examples.
        share_of_top_percent: Share of these nats in the one percent of examples with the most.
        numbers_of_examples: Rows of the data, from 0, of those with the most nats, largest first.
        nats: Nats of these examples.
        losses: Minus the log-probability of their labels, in nats.
        num_examples: Number of examples used.
    """

    mean_nats: float
    standard_error: float
    share_of_top_percent: float
    numbers_of_examples: list[int]
    nats: list[float]
    losses: list[float]
    num_examples: int


class Examples(AuditPart):
    """Nats that single examples contribute to the weights, for plain networks."""

    name, title, examples = "examples", "Which examples it remembers", 500
    measures = (
        Measure(
            "nats_of_example",
            "left in the weights",
            "nats",
            "first-order approximation at a minimum, from a diagonal",
            "How surely somebody who sees the weights with the noise of their code could tell "
            "that the example was in the training set. Rare examples with right labels are "
            "remembered like wrong labels. For a network that is not at a minimum it shows what "
            "the network would still learn, not what it holds.",
        ),
        Measure(
            "nats_of_mean_example",
            "left in the weights by an example, on average",
            "nats",
            "first-order approximation at a minimum, from a diagonal; the error is over examples",
            "Information that single examples leave by themselves. What many examples have in "
            "common is not counted for any of them, so these nats are far below all nats in the "
            "weights divided by the number of examples.",
        ),
        Measure(
            "share_of_top_percent",
            "held by the one percent of examples with most nats",
            "share of the nats of single examples",
            "of the examples taken, biased low where they are few",
            "It is 0.01 if all examples are alike. A few outliers make it large without harm; "
            "look at which they are.",
        ),
    )

    def reason_to_omit(self, subject: Subject) -> str | None:
        """Omitted for weights with noise, which are at no minimum, or without a likelihood."""
        if noisy_layers(subject.model, "weights"):
            return HAS_POSTERIOR
        return subject.reason_without_likelihood

    def shares(self, subject: Subject) -> tuple[str, ...]:
        """The examples of the Fisher matrix."""
        return ("fisher",)

    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """The `RememberedExamples`, under the name `remembered`."""
        if not exam.examples(self.name).has_labels:
            exam.omit(self.name, "all", NO_LABELS)
            return {}
        fisher = diagonal_of(exam)
        if fisher is None:
            exam.omit(self.name, "all", NO_FISHER)
            return {}
        found = exam.attempt(self.name, "all", lambda: _remembered_examples(exam, fisher))
        return {"remembered": found}

    def num_bytes(self, num_weights: int, layers: Sequence[HiddenLayer], num_examples: int) -> int:
        """Powers of the Fisher matrix in both precisions, and blocks of gradients."""
        return POWER_COPIES * 4 * num_weights + 2 * BLOCK_BYTES

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """The mean, the share of the top percent, and the ten largest."""
        held: Any = findings.others.get("remembered")
        if held is None:
            return
        taken = f"{held.num_examples:,} examples"
        yield self.reading(
            "nats_of_mean_example", "", held.mean_nats, held.standard_error or None, taken
        )
        yield self.reading("share_of_top_percent", "", held.share_of_top_percent, None, taken)
        rows = zip(held.numbers_of_examples, held.nats, held.losses, strict=True)
        for number, nats, loss in rows:
            beside = f"its loss: {number_in_words(loss)}"
            yield self.reading("nats_of_example", f"row {number}", nats, None, beside)

    def sentences(self, findings: Findings) -> Iterable[str]:
        """A sentence on the examples that are remembered most."""
        held: Any = findings.others.get("remembered")
        if held is not None:
            rows = ", ".join(map(str, held.numbers_of_examples[:3]))
            yield (
                f"Of {held.num_examples:,} examples it remembers rows {rows} of the data most, "
                f"counted from 0; one percent of them hold {held.share_of_top_percent:.0%} of the "
                "nats of single examples."
            )

    def verdict(self, findings: Findings) -> Verdict | None:
        """Whether single examples stand out."""
        held: Any = findings.others.get("remembered")
        if held is None:
            return None
        evidence = (
            f"row {held.numbers_of_examples[0]}, the most remembered of {held.num_examples:,}, "
            f"leaves {number_in_words(held.nats[0])} nats where the mean is "
            f"{number_in_words(held.mean_nats, held.standard_error or None)}; one percent holds "
            f"{held.share_of_top_percent:.0%}"
        )
        unsure = "first order and a diagonal: the order of examples is surer than the nats"
        if held.share_of_top_percent > UNEVEN:
            return Verdict(
                "It remembers some examples far more than others: look at their labels, by "
                "`find_wrong_labels`, before it is trained again.",
                evidence,
                unsure,
                1,
            )
        return Verdict("No example stands out in its weights.", evidence, unsure, 0)


def _remembered_examples(exam: Examination, fisher: FisherInformation) -> RememberedExamples:
    """Remembered examples by the diagonal, at a price of one nat of training loss per nat."""
    sample = exam.examples("examples")
    # The Fisher matrix is of a sample, but the nats refer to the code of the whole training set.
    fisher = dataclasses.replace(fisher, num_examples=exam.num_examples)
    held = unique_information(
        exam.model,
        sample.data,
        beta=exam.beta,
        fisher=fisher,
        likelihood=exam.likelihood,
        batch_size=min(exam.batch_size, sample.size),
    )
    largest = held.largest(MOST)
    return RememberedExamples(
        mean_nats=float(held.nats.mean()),
        standard_error=float(held.nats.std() / np.sqrt(max(1, sample.size - 1))),
        share_of_top_percent=held.top_share(),
        numbers_of_examples=sample.indices[largest].tolist(),
        nats=held.nats[largest].tolist(),
        losses=held.losses[largest].tolist(),
        num_examples=sample.size,
    )
