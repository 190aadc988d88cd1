"""Accuracy of a network with noisy weights after its noisiest weights are pruned."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from keras_infobottleneck.auditing.performance import TaskPerformance, task_performance
from keras_infobottleneck.data.sample import Sample
from keras_infobottleneck.layers.noisy_layer import noisy_layers
from keras_infobottleneck.models import make_deterministic
from keras_infobottleneck.results.result import Result

__all__ = ["Pruning", "pruning_by_noise"]

# Number of quantiles of the ratios, and the ratios below which weights are set to zero.
NUM_QUANTILES = 201
THRESHOLDS = (0.1, 0.3, 1.0, 3.0)


@dataclasses.dataclass(frozen=True, repr=False)
class Pruning(Result):
    """Signal-to-noise ratios of the weights with a posterior, `|mean| / standard deviation`.

    Attributes:
        quantiles: Quantiles `[201]` of the ratios, from the smallest to the largest.
        thresholds: Thresholds `[points]`; weights with a smaller ratio were set to zero.
        kept: Share of the weights with a posterior that remain, `[points]`.
        accuracy: Accuracy of the pruned networks, `[points]`; empty if labels are not classes.
        num_weights: Number of weights with a posterior.
        num_examples: Number of examples on which accuracy was measured.
    """

    quantiles: np.ndarray
    thresholds: np.ndarray
    kept: np.ndarray
    accuracy: np.ndarray
    num_weights: int
    num_examples: int


def pruning_by_noise(
    model: keras.Model,
    sample: Sample | None,
    task: TaskPerformance | None,
    likelihood: str | Callable | None,
    batch_size: int | None = None,
) -> Pruning:
    """Ratios of all noisy weights, and the accuracy at a few thresholds, one network each."""
    layers = noisy_layers(model, "weights")
    parts = [part for layer in layers for part in layer.signal_to_noise().values()]
    ratios = np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)
    accuracy, size = [], 0
    if sample is not None and task is not None and task.accuracy is not None:
        size = sample.size
        for threshold in THRESHOLDS:
            pruned = make_deterministic(model, prune_below=threshold)
            found = task_performance(pruned, sample, likelihood or task.likelihood, batch_size)
            accuracy.append(found.accuracy)
    return Pruning(
        quantiles=np.quantile(ratios, np.linspace(0, 1, NUM_QUANTILES)),
        thresholds=np.array(THRESHOLDS),
        kept=np.array([np.mean(ratios >= threshold) for threshold in THRESHOLDS]),
        accuracy=np.array(accuracy),
        num_weights=len(ratios),
        num_examples=size,
    )
