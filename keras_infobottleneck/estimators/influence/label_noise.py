"""A confusion matrix of wrong labels, fitted to held-out predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["LabelNoise", "log_softmax"]

# Temperatures that are tried, from predictions far too uncertain to ones far too certain.
TEMPERATURES = np.geomspace(0.06, 8.0, 29)
# Numbers of steps of expectation and maximisation, at each temperature and at the best one.
STEPS, STEPS_AT_THE_END = 8, 40
# Prior counts of a class's labels, in examples: most labels are right.
RIGHT, OTHER = 1.0, 0.1


@dataclass(frozen=True)
class LabelNoise:
    """Model of noisy labels: a true class is drawn, then changed by a confusion matrix.

    `p(given = y | x) = sum_k p_T(k | x) Q[k, y]`, with `p_T` the prediction at temperature T.

    Attributes:
        temperature: Above one if the predictions are too certain.
        confusion: Q, `[classes, classes]`, whose rows sum to one.
        wrong: Probability that each given label is not the true one, `[examples]`.
        suggested: Most probable true label, `[examples]`.
    """

    temperature: float
    confusion: np.ndarray
    wrong: np.ndarray
    suggested: np.ndarray

    @classmethod
    def fitted(cls, scores: np.ndarray, labels: np.ndarray) -> LabelNoise:
        """Fits T by maximum likelihood and Q by maximum posterior under a weak Dirichlet prior.

        Args:
            scores: Logits of predictions that did not see the label, `[examples, classes]`.
            labels: Given labels, integers `[examples]`.
        """
        confusion = _start(scores.shape[1])
        best, found = -np.inf, (1.0, confusion)
        for temperature in TEMPERATURES:
            # Each temperature starts from the confusion matrix of the one before.
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
    """Log-probabilities of scores, whose last axis is the class."""
    scores = scores - scores.max(-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def _start(classes: int) -> np.ndarray:
    """Initial confusion matrix: half of the labels are right, the rest uniform over classes."""
    return 0.5 * np.eye(classes) + 0.5 / classes


def _posterior(
    log_p: np.ndarray, labels: np.ndarray, confusion: np.ndarray
) -> tuple[np.ndarray, float]:
    """Posterior of the true labels, `[examples, classes]`, and log-likelihood of the given ones."""
    joint = log_p + np.log(confusion.T[labels])
    top = joint.max(1, keepdims=True)
    logs = top[:, 0] + np.log(np.exp(joint - top).sum(1))
    return np.exp(joint - logs[:, None]), float(logs.sum())


def _fitted(
    log_p: np.ndarray, labels: np.ndarray, confusion: np.ndarray
) -> tuple[np.ndarray, float]:
    """Confusion matrix after several EM steps, and the objective before the last one."""
    likelihood = -np.inf
    for _ in range(STEPS):
        confusion, likelihood = _step(log_p, labels, confusion)
    return confusion, likelihood


def _step(log_p: np.ndarray, labels: np.ndarray, confusion: np.ndarray) -> tuple[np.ndarray, float]:
    """One EM step: the new confusion matrix, and the objective at the old one."""
    classes = len(confusion)
    posterior, likelihood = _posterior(log_p, labels, confusion)
    prior = np.full_like(confusion, OTHER) + RIGHT * np.eye(classes)
    counts = prior.copy()
    np.add.at(counts.T, labels, posterior)
    objective = likelihood + float((prior * np.log(confusion)).sum())
    return counts / counts.sum(1, keepdims=True), objective
