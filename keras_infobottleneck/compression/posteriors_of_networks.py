"""The means and scales of a network's weights, and the plain network that is stored in a file."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.introspection.contents import all_layers, weight_names
from keras_infobottleneck.layers.noisy_layer import NoisyLayer, noisy_layers
from keras_infobottleneck.layers.variational_weights import VariationalWeights
from keras_infobottleneck.models.conversion import make_deterministic
from keras_infobottleneck.models.rewriting import rebuildable_network

__all__ = ["KeptWeight", "kept_weights", "spreads_of"]

LEAST_SCALE = 1e-12


class KeptWeight(NamedTuple):
    """A weight of the plain network.

    Attributes:
        name: Name of the weight in the original network.
        mean: Its value, or the mean of its posterior.
        scale: Standard deviation of its posterior, or None without one.
        is_gaussian: Whether the posterior is a normal distribution.
        is_adapted: Whether it holds statistics of the data, as in `keras.layers.Normalization`.
    """

    name: str
    mean: np.ndarray
    scale: np.ndarray | None = None
    is_gaussian: bool = False
    is_adapted: bool = False


def kept_weights(model: keras.Model) -> tuple[keras.Model, list[KeptWeight]]:
    """The plain network, and its weights in their order.

    Raises:
        TypeError, ValueError: As in `make_deterministic`.
    """
    plain = make_deterministic(model)
    network = rebuildable_network(model)
    noisy = noisy_layers(network)
    posteriors: dict[int, tuple[np.ndarray, bool]] = {}
    for layer in noisy:
        posteriors |= _posteriors(layer)
    adapted = {
        id(weight)
        for layer in all_layers(network)
        if isinstance(layer, keras.layers.Normalization)
        for weight in layer.weights
    }
    dropped = {id(weight) for layer in noisy for weight in layer.noise_weights}
    weights = [weight for weight in network.weights if id(weight) not in dropped]
    kept = []
    for name, weight in zip(weight_names(network, weights), weights, strict=True):
        scale, is_gaussian = posteriors.get(id(weight), (None, False))
        # Keras' own conversion asks NumPy for a copy, which warns about the variable.
        mean = np.asarray(weight.value)
        kept.append(KeptWeight(name, mean, scale, is_gaussian, id(weight) in adapted))
    return plain, kept


def spreads_of(layer: NoisyLayer) -> dict[int, keras.Variable]:
    """Log-scales of a layer's Gaussian posteriors, by the identity of their weights."""
    if not isinstance(layer, VariationalWeights) or layer.posterior_name != "gaussian":
        return {}
    priors = {id(weight) for weight in layer.prior_weights}
    spreads = [weight for weight in layer.noise_weights if id(weight) not in priors]
    pairs = zip(layer.variational_weights, spreads, strict=True)
    return {id(weight): spread for weight, spread in pairs}


def _posteriors(layer: NoisyLayer) -> dict[int, tuple[np.ndarray, bool]]:
    """Standard deviations of a layer's posterior, and whether it is Gaussian, by weight."""
    if spreads := spreads_of(layer):
        return {key: (np.exp(_array(spread)), True) for key, spread in spreads.items()}
    found = {}
    ratios = layer.signal_to_noise().values()
    for weight, ratio in zip(layer.variational_weights, ratios, strict=True):
        ratio, mean = np.asarray(ratio, np.float64), np.abs(_array(weight))
        # If the mean is 0, these posteriors are concentrated at 0.
        scale = np.where(ratio > 0.0, mean / np.where(ratio > 0.0, ratio, 1.0), LEAST_SCALE)
        found[id(weight)] = (np.maximum(scale, LEAST_SCALE), False)
    return found


def _array(weight: keras.Variable) -> np.ndarray:
    """The value in float64; `numpy` fails for a mirrored variable."""
    return np.asarray(tf.cast(weight.value, tf.float64))
