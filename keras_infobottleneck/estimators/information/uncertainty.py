"""What a prediction does not know: noise in the data against doubt about the weights."""

from dataclasses import dataclass

import numpy as np

from keras_infobottleneck.arguments import check_numbers
from keras_infobottleneck.results.result import Result

__all__ = ["Uncertainty", "decompose_uncertainty"]

TOLERANCE = 1e-3  # by which probabilities may miss a sum of one


@dataclass(frozen=True)
class Uncertainty(Result):
    """Entropies in nats, one per example: ``total = aleatoric + epistemic``, shape ``[batch]``."""

    total: np.ndarray
    aleatoric: np.ndarray
    epistemic: np.ndarray


def decompose_uncertainty(probabilities) -> Uncertainty:
    """Split the entropy of the averaged prediction into two parts.

    ``total = H(mean p)``, ``aleatoric = mean H(p)``, ``epistemic = total - aleatoric``, the
    mutual information between the label and the draw of the weights. Exact for the draws given;
    over finitely many draws the epistemic part is biased low.

    Args:
        probabilities: array ``[samples, batch, classes]``, each row summing to one.

    Returns:
        An `Uncertainty`, in nats.

    Raises:
        ValueError: another shape, or rows that are not probabilities.

    References:
        Depeweg et al. (2018), arXiv 1710.07283.
    """
    p = check_numbers("probabilities", probabilities, "[samples, batch, classes]")
    if p.min() < 0 or np.abs(p.sum(-1) - 1.0).max() > TOLERANCE:
        raise ValueError(
            "`probabilities` must be non-negative with rows that sum to one (apply a softmax to "
            f"logits). Received: probabilities from {p.min()} to {p.max()}"
        )
    total = _entropy(p.mean(0))
    aleatoric = _entropy(p).mean(0)
    return Uncertainty(total, aleatoric, total - aleatoric)


def _entropy(p):
    return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), -1)
