"""How predictions follow the weights, and what the weights hold: the estimators' own calls."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
import numpy as np

from keras_infobottleneck import estimators
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.measures import MEASURES
from keras_infobottleneck.auditing.noise import (
    noisy_layers,
    paid_for_weights,
    pruning_by_noise,
    weights_of_predictions,
)
from keras_infobottleneck.auditing.task import TaskPerformance
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.layers import VariationalWeights

__all__ = ["NO_FISHER", "measure_fisher", "measure_output_derivatives", "measure_weights"]

# Up to so many outputs the expectation over labels is cheap enough to be exact.
MAX_EXPECTED = 20
NUM_PRICES, DECADES = 25, 3
NO_FISHER = "it takes the Fisher matrix, which could not be measured"
WITHOUT_PRICE = (
    "`weight_beta` is 0, with which a `BetaSchedule` may start and which restored weights bring "
    "back; the nats are those of the posterior as it is, whatever was paid for them"
)


def measure_fisher(exam: Examination) -> estimators.FisherInformation | None:
    """The diagonal over the weights that predictions depend on, for all parts that take it."""
    if "fisher" not in exam.plan.examples:
        return None

    def measure():
        sample = exam.examples("fisher")
        outputs = keras.tree.flatten(exam.model(sample.first(1).x, training=False))
        size = sum(math.prod(output.shape[1:]) for output in outputs)
        is_cheap = size <= MAX_EXPECTED and not callable(exam.likelihood)
        return _diagonal(exam, exam.likelihood, "expected" if is_cheap else "sampled")

    fisher = exam.attempt("fisher", "all", measure)
    exam.measured()
    return fisher


def measure_output_derivatives(exam: Examination) -> estimators.Estimate | None:
    """The same trace for unit noise on the outputs, where they are logits."""
    where = MEASURES["output_derivatives"].label
    name = find_likelihood(exam.model, exam.likelihood).name
    if name not in ("categorical", "bernoulli"):
        exam.omit("fisher", where, f"the outputs are no logits; likelihood={name!r}")
        return None
    return exam.attempt("fisher", where, lambda: _diagonal(exam, "normal", "sampled").trace())


def _diagonal(exam: Examination, likelihood, labels: str) -> estimators.FisherInformation:
    """One Fisher matrix."""
    return estimators.fisher_information(
        exam.model,
        exam.examples("fisher").inputs,
        labels=labels,
        likelihood=likelihood,
        variables=weights_of_predictions(exam.model),
        seed=exam.seed,
    )


def measure_weights(
    exam: Examination, fisher: estimators.FisherInformation | None, task: TaskPerformance | None
) -> dict[str, Any]:
    """Nats in the weights: paid, where they have noise, else those of their code."""
    if "weights" not in exam.plan:
        return {}
    if noisy_layers(exam.model, VariationalWeights):
        reason = "the weights have a trained posterior, and what it pays is reported instead"
        exam.omit("weights", "Gaussian code", reason)
        paid = exam.attempt("weights", "paid", lambda: paid_for_weights(exam.model))

        def pruning():
            sample = exam.examples("task") if task else None
            return pruning_by_noise(exam.model, sample, task, exam.likelihood)

        if paid is not None and paid.beta == 0:
            exam.omit("weights", "price of a nat", WITHOUT_PRICE)
        found = {"weights": paid, "pruning": exam.attempt("weights", "pruning", pruning)}
    elif fisher is None:
        exam.omit("weights", "all", NO_FISHER)
        found = {}
    else:
        found = {
            "weights": exam.attempt("weights", "Gaussian code", lambda: _code(exam, fisher)),
            "curve": exam.attempt("weights", "other prices", lambda: _curve(exam, fisher, task)),
        }
    exam.measured()
    return found


def _code(exam: Examination, fisher) -> estimators.WeightInformation:
    """The Gaussian code at one nat of training loss a nat."""
    held = estimators.information_in_weights(exam.model, fisher, beta=exam.beta)
    # Fisher saw a sample; the nats are shared out over the whole training set.
    return dataclasses.replace(held, num_examples=exam.num_examples)


def _curve(exam: Examination, fisher, task) -> estimators.InformationCurve:
    """The Gaussian code at other prices; without labels the loss is not known."""
    found = estimators.information_curve(
        exam.model,
        fisher,
        beta=np.geomspace(10.0**-DECADES, 10.0**DECADES, NUM_PRICES) * exam.beta,
        loss=task.loss if task else 0.0,
    )
    unknown = {} if task else {"loss": np.nan, "expected_loss": found.expected_loss + np.nan}
    return dataclasses.replace(found, num_examples=exam.num_examples, **unknown)
