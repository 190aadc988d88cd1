"""The examples that a network remembers most, as the report keeps them."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.estimators import FisherInformation, unique_information
from keras_infobottleneck.results.result import Result

__all__ = ["RememberedExamples", "remembered_examples"]

MOST = 10


@dataclasses.dataclass(frozen=True, repr=False)
class RememberedExamples(Result):
    """Nats that single examples leave in the weights: a summary, and the largest ones.

    Attributes:
        mean_nats: over the examples taken.
        standard_error: of the mean, over examples.
        share_of_top_percent: of all of these nats, in the one percent of examples with most.
        numbers_of_examples: rows of the data, from 0, of those with the most nats, largest first.
        nats: of these.
        losses: of these: minus the log-probability of the label, in nats.
        num_examples: taken.
    """

    mean_nats: float
    standard_error: float
    share_of_top_percent: float
    numbers_of_examples: list[int]
    nats: list[float]
    losses: list[float]
    num_examples: int


def remembered_examples(exam: Examination, fisher: FisherInformation) -> RememberedExamples:
    """By the diagonal, at one nat of training loss a nat."""
    sample = exam.examples("examples")
    # Fisher saw a sample; what an example leaves is a share of the whole training set's code.
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
