"""Small networks to audit, and their data."""

import keras
import numpy as np

import keras_infobottleneck as kib

COUNT = 60


def examples():
    """Inputs and labels of three classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(COUNT, 6)).astype("float32")
    return x, (x[:, 0] > 0).astype(int) + (x[:, 1] > 0.5)


def network():
    """Two hidden layers, and one between them that passes its input through."""
    keras.utils.set_random_seed(1)
    layers = [
        keras.Input((6,)),
        keras.layers.Dense(8, "relu", name="first"),
        keras.layers.Dropout(0.5, name="dropout"),
        keras.layers.Dense(5, "sigmoid", name="second"),
        keras.layers.Dense(3, name="logits"),
    ]
    model = keras.Sequential(layers, name="net")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def noisy_network():
    """Information Dropout, and everything else that a pass may move."""
    keras.utils.set_random_seed(2)
    noisy = kib.layers.InformationDropout(keras.layers.Dense(6, "relu"), 0.1, name="noisy", seed=0)
    layers = [
        keras.Input((6,)),
        noisy,
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
    ]
    model = keras.Sequential([*layers, keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def regression():
    """A network of two numbers, and data for it."""
    hidden = keras.layers.Dense(4, "tanh", name="hidden")
    model = keras.Sequential([keras.Input((5,)), hidden, keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(40, 5)).astype("float32")
    return model, (x, x[:, :2])
