"""Information in networks with noise on activations or weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.sample import Sample
from keras_infobottleneck.estimators import WeightInformation
from keras_infobottleneck.layers import GaussianBottleneck, InformationDropout
from keras_infobottleneck.models import InformationBottleneckModel
from keras_infobottleneck.results.result import Result

__all__ = [
    "ActivationInformation",
    "activation_information",
    "paid_for_weights",
]


@dataclasses.dataclass(frozen=True, repr=False)
class ActivationInformation(Result):
    """Information for which a layer with noisy activations is charged, per example.

    Attributes:
        nats: Mean over examples of the sum over units.
        standard_error: Standard error over the examples.
        by_unit: Mean over examples, in the shape of the layer's output.
        beta: The layer's price of a nat.
        num_examples: Number of examples.
    """

    nats: float
    standard_error: float
    by_unit: np.ndarray
    beta: float
    num_examples: int


def activation_information(
    model: keras.Model, layer: InformationDropout | GaussianBottleneck, sample: Sample
) -> ActivationInformation:
    """Nats per example of a noisy layer, in one pass without noise.

    Raises:
        ValueError: The layer is not called once in the model's own graph.
    """
    try:
        if not any(layer is own for own in model.layers):
            raise ValueError("held by another layer")
        # If a layer is also called with a mask or labels, Keras' `input` of it is a list.
        to_layer = keras.Model(model.inputs, keras.tree.flatten(layer.input)[0])
    except (AttributeError, ValueError) as error:
        raise ValueError(
            "The layer is not called once in the model's own graph; `evaluate` logs what it pays. "
            f"Received: layer={layer.name!r}"
        ) from error
    by_unit: Any = 0.0
    totals = []
    for batch in Batches(sample.inputs, needs_labels=False):
        rows = int(np.sum(batch.weights))
        inputs = to_layer(batch.x, training=False)
        nats = layer.information(inputs)
        nats = nats.numpy()[:rows].astype(np.float64)
        by_unit = by_unit + nats.sum(0)
        totals.append(nats.reshape(rows, -1).sum(1))
    totals = np.concatenate(totals)
    return ActivationInformation(
        nats=float(totals.mean()),
        standard_error=float(totals.std(ddof=1) / np.sqrt(len(totals))),
        by_unit=by_unit / len(totals),
        beta=float(layer.beta.numpy()),  # `float` fails for a mirrored variable
        num_examples=len(totals),
    )


def paid_for_weights(model: keras.Model) -> WeightInformation:
    """Information for which noisy weights are charged: the divergence of the posterior.

    Raises:
        ValueError: The model's price of a nat is not known.
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
