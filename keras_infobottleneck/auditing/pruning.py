"""How far weights stand above their noise, and what the network does without those that do not."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.noisy_layers import noisy_layers
from keras_infobottleneck.auditing.task import TaskPerformance, task_performance
from keras_infobottleneck.layers import VariationalWeights
from keras_infobottleneck.models import make_deterministic

__all__ = ["Pruning", "pruning_by_noise"]

NUM_QUANTILES = 201
THRESHOLDS = (0.1, 0.3, 1.0, 3.0)


@dataclasses.dataclass(frozen=True)
class Pruning:
    """Signal-to-noise of the weights with a distribution, `|mean| / standard deviation`.

    Attributes:
        quantiles: `[201]`, of the ratios, from the smallest to the largest.
        thresholds: `[points]`; weights with a smaller ratio were set to zero.
        kept: `[points]`, share of the weights with a distribution that stayed.
        accuracy: `[points]`, of the pruned networks; empty where labels are no classes.
        num_weights: weights with a distribution.
        num_examples: on which accuracy was taken.
    """

    quantiles: np.ndarray
    thresholds: np.ndarray
    kept: np.ndarray
    accuracy: np.ndarray
    num_weights: int
    num_examples: int

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in dataclasses.asdict(self).items()
        }


def pruning_by_noise(exam: Examination, task: TaskPerformance | None) -> Pruning:
    """Ratios of all weights with noise, and the accuracy at a few thresholds, one network each."""
    layers = noisy_layers(exam.model, VariationalWeights)
    parts = [part for layer in layers for part in layer.signal_to_noise().values()]
    ratios = np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)
    accuracy, size = [], 0
    if task is not None and task.accuracy is not None:
        sample = exam.examples("task")
        size = sample.size
        for threshold in THRESHOLDS:
            pruned = make_deterministic(exam.model, prune_below=threshold)
            likelihood = exam.likelihood or task.likelihood
            accuracy.append(task_performance(pruned, sample, likelihood).accuracy)
    return Pruning(
        quantiles=np.quantile(ratios, np.linspace(0, 1, NUM_QUANTILES)),
        thresholds=np.array(THRESHOLDS),
        kept=np.array([np.mean(ratios >= threshold) for threshold in THRESHOLDS]),
        accuracy=np.array(accuracy),
        num_weights=len(ratios),
        num_examples=size,
    )
