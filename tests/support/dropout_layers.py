"""Layers that price their activations, of known pre-activation too, data and a regressor."""

import keras
import numpy as np

from keras_infobottleneck.layers import GaussianBottleneck, InformationDropout

layers = keras.layers


def constant_layer(units, value, activation=None):
    """A layer whose pre-activation is `value` whatever comes in."""
    bias = keras.initializers.Constant(value)
    return layers.Dense(units, activation, kernel_initializer="zeros", bias_initializer=bias)


def data(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def example_total(nats):
    return float(np.mean(np.sum(nats, axis=tuple(range(1, np.ndim(nats))))))


def regressor(*noisy, shape=(6,), **compile_options):
    model = keras.Sequential([keras.Input(shape), *noisy, layers.Flatten(), layers.Dense(1)])
    model.compile(**{"optimizer": keras.optimizers.SGD(0.0), "loss": "mse", **compile_options})
    return model


def information_dropout(units, beta, **options):
    """`InformationDropout` of a dense layer whose units are mostly above zero."""
    dense = layers.Dense(units, "relu", bias_initializer="ones", dtype=options.pop("dtype", None))
    return InformationDropout(dense, beta, **options)


# A layer of each kind with noise on its activations and a price for them, from units and beta.
PRICED = {
    "information_dropout": information_dropout,
    "gaussian_bottleneck": GaussianBottleneck,
}
