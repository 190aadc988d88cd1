"""How labels get replaced, fitted to predictions that did not see them: arrays, no networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["LabelNoise", "log_softmax"]

# Temperatures that predictions are tried at: from far too unsure to far too sure.
TEMPERATURES = np.geomspace(0.06, 8.0, 29)
# Of expectation and maximisation at each temperature, and at the best one.
STEPS, STEPS_AT_THE_END = 8, 40
# What is believed of each class before a label is seen, in examples: most labels are right.
RIGHT, OTHER = 1.0, 0.1


@dataclass(frozen=True)
class LabelNoise:
    """A model of given labels: the true one by the prediction, replaced by a confusion matrix.

    `p(given = y | x) = sum_k p_T(k | x) Q[k, y]`, with `p_T` the prediction at temperature T.

    Attributes:
        temperature: above one where the predictions are too sure.
        confusion: Q, `[classes, classes]`, rows that sum to one.
        wrong: probability that each given label is not the true one, `[examples]`.
        suggested: the most probable true label, `[examples]`.
    """

    temperature: float
    confusion: np.ndarray
    wrong: np.ndarray
    suggested: np.ndarray

    @classmethod
    def fitted(cls, scores: np.ndarray, labels: np.ndarray) -> LabelNoise:
        """By maximum likelihood over T and, with a little prior, Q.

        Args:
            scores: logits of predictions that did not see the label, `[examples, classes]`.
            labels: those given, integers `[examples]`.
        """
        confusion = _start(scores.shape[1])
        best, found = -np.inf, (1.0, confusion)
        for temperature in TEMPERATURES:
            # Each temperature starts from what the one before has found.
            confusion, likelihood = _fitted(log_softmax(scores / temperature), labels, confusion)
            if likelihood > best:
                best, found = likelihood, (float(temperature), confusion)
        temperature, confusion = found
        log_p = log_softmax(scores / temperature)
        for _ in range(STEPS_AT_THE_END // STEPS):
            confusion, _ = _fitted(log_p, labels, confusion)
        posterior, _ = _posterior(log_p, labels, confusion)
        right = posterior[np.arange(len(labels)), labels]
        return cls(temperature, confusion, 1.0 - right, posterior.argmax(1))


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Log-probabilities, the last axis classes."""
    scores = scores - scores.max(-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def _start(classes: int) -> np.ndarray:
    """Half of the labels right, the others anything."""
    return 0.5 * np.eye(classes) + 0.5 / classes


def _posterior(
    log_p: np.ndarray, labels: np.ndarray, confusion: np.ndarray
) -> tuple[np.ndarray, float]:
    """Probability of each true label, `[examples, classes]`, and the log-likelihood."""
    joint = log_p + np.log(confusion.T[labels])
    top = joint.max(1, keepdims=True)
    logs = top[:, 0] + np.log(np.exp(joint - top).sum(1))
    return np.exp(joint - logs[:, None]), float(logs.sum())


def _fitted(
    log_p: np.ndarray, labels: np.ndarray, confusion: np.ndarray
) -> tuple[np.ndarray, float]:
    """The confusion matrix after some steps, and the objective before the last of them."""
    likelihood = -np.inf
    for _ in range(STEPS):
        confusion, likelihood = _step(log_p, labels, confusion)
    return confusion, likelihood


def _step(log_p: np.ndarray, labels: np.ndarray, confusion: np.ndarray) -> tuple[np.ndarray, float]:
    """The confusion matrix that the posterior counts, and the objective before it."""
    classes = len(confusion)
    posterior, likelihood = _posterior(log_p, labels, confusion)
    prior = np.full_like(confusion, OTHER) + RIGHT * np.eye(classes)
    counts = prior.copy()
    np.add.at(counts.T, labels, posterior)
    objective = likelihood + float((prior * np.log(confusion)).sum())
    return counts / counts.sum(1, keepdims=True), objective
