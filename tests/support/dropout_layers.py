"""Layers of known pre-activation, data and a regressor for tests of Information Dropout."""

import keras
import numpy as np

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
