"""Networks with noise: where it is, what it costs, and what they do without noisy weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.auditing.task import TaskPerformance, task_performance
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.sample import Sample
from keras_infobottleneck.estimators import WeightInformation
from keras_infobottleneck.introspection.noise_weights import noise_weights
from keras_infobottleneck.layers import InformationDropout, VariationalWeights
from keras_infobottleneck.models import InformationBottleneckModel, make_deterministic
from keras_infobottleneck.results.result import Result

__all__ = [
    "ActivationInformation",
    "Pruning",
    "activation_information",
    "noisy_layers",
    "paid_for_weights",
    "pruning_by_noise",
    "weights_of_predictions",
]

# Of the ratios of signal to noise, and those below which weights are set to zero.
NUM_QUANTILES = 201
THRESHOLDS = (0.1, 0.3, 1.0, 3.0)


@dataclasses.dataclass(frozen=True)
class ActivationInformation(Result):
    """What an `InformationDropout` layer pays for an example.

    Attributes:
        nats: mean over examples of the sum over units.
        standard_error: over the examples.
        by_unit: mean over examples, in the shape of the layer's output.
        beta: the layer's price of a nat.
        num_examples: how many examples.
    """

    nats: float
    standard_error: float
    by_unit: np.ndarray
    beta: float
    num_examples: int


def activation_information(
    model: keras.Model, layer: InformationDropout, sample: Sample
) -> ActivationInformation:
    """Nats per example of a noisy layer, by one pass without noise.

    Raises:
        ValueError: a layer that is not called once in the model's own graph.
    """
    try:
        if not any(layer is own for own in model.layers):
            raise ValueError("held by another layer")
        to_layer = keras.Model(model.inputs, layer.input)
    except (AttributeError, ValueError) as error:
        raise ValueError(
            "The layer is not called once in the model's own graph; `evaluate` logs what it pays. "
            f"Received: layer={layer.name!r}"
        ) from error
    by_unit, totals = 0.0, []
    for batch in Batches(sample.inputs, needs_labels=False):
        rows = int(np.sum(batch.weights))
        inputs = to_layer(batch.x, training=False)
        # Keras keeps the mask of a tensor with it, and hands it to `call` only.
        nats = layer.information(inputs, mask=getattr(inputs, "_keras_mask", None))
        nats = nats.numpy()[:rows].astype(np.float64)
        by_unit = by_unit + nats.sum(0)
        totals.append(nats.reshape(rows, -1).sum(1))
    totals = np.concatenate(totals)
    return ActivationInformation(
        nats=float(totals.mean()),
        standard_error=float(totals.std(ddof=1) / np.sqrt(len(totals))),
        by_unit=by_unit / len(totals),
        beta=float(layer.beta.numpy()),  # `float` of a mirrored variable fails
        num_examples=len(totals),
    )


def paid_for_weights(model: keras.Model) -> WeightInformation:
    """What the weights with noise pay: the divergence of the trained posterior.

    Raises:
        ValueError: a model whose price of a nat is not known.
    """
    if not isinstance(model, InformationBottleneckModel):
        raise ValueError(
            "Weights with noise have a price in an `InformationBottleneckModel` only. "
            f"Received: model={model.name!r}"
        )
    return WeightInformation.from_divergences(
        model.weight_information(by_layer=True),
        num_examples=model.num_examples,
        beta=float(model.weight_beta.numpy()) / model.num_examples,
    )


def noisy_layers(model: keras.Model, kind: type) -> list[Any]:
    """Every layer of a kind, wherever it sits, each once."""
    # Keras has no public walk that also reaches the layers held by custom layers.
    return [layer for layer in model._flatten_layers() if isinstance(layer, kind)]


def weights_of_predictions(model: keras.Model) -> list[keras.Variable]:
    """Trainable weights on which predictions depend: all but those that only noise is made from."""
    noise = {id(weight) for weight in noise_weights(model)}
    return [weight for weight in model.trainable_variables if id(weight) not in noise]


@dataclasses.dataclass(frozen=True)
class Pruning(Result):
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


def pruning_by_noise(
    model: keras.Model,
    sample: Sample,
    task: TaskPerformance | None,
    likelihood: str | Callable | None,
) -> Pruning:
    """Ratios of all weights with noise, and the accuracy at a few thresholds, one network each."""
    layers = noisy_layers(model, VariationalWeights)
    parts = [part for layer in layers for part in layer.signal_to_noise().values()]
    ratios = np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)
    accuracy, size = [], 0
    if task is not None and task.accuracy is not None:
        size = sample.size
        for threshold in THRESHOLDS:
            pruned = make_deterministic(model, prune_below=threshold)
            found = task_performance(pruned, sample, likelihood or task.likelihood)
            accuracy.append(found.accuracy)
    return Pruning(
        quantiles=np.quantile(ratios, np.linspace(0, 1, NUM_QUANTILES)),
        thresholds=np.array(THRESHOLDS),
        kept=np.array([np.mean(ratios >= threshold) for threshold in THRESHOLDS]),
        accuracy=np.array(accuracy),
        num_weights=len(ratios),
        num_examples=size,
    )
