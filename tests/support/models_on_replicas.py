"""Models and data that are measured alone and on the replicas of a strategy."""

import keras
import numpy as np
from keras import layers

import keras_infobottleneck as kib

random = np.random.default_rng(0)
X = random.normal(size=(70, 6)).astype("float32")
Y = random.integers(0, 3, 70)
BITS = (random.random((33, 6)) < 0.5).astype("float32")  # the last batch has one row


def compiled(model):
    """Ready to be measured."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


def plain_model():
    """A convolution, normalisation, a hidden layer."""
    keras.utils.set_random_seed(3)
    parts = [layers.Reshape((6, 1)), layers.Conv1D(4, 3, activation="relu")]
    parts += [layers.BatchNormalization(), layers.Flatten()]
    parts += [layers.Dense(5, "tanh", name="hidden"), layers.Dense(3)]
    return compiled(keras.Sequential([keras.Input((6,)), *parts]))


def noisy_model(estimator="local", dropout=False):
    """Noise on all weights, and on the activations if asked for."""
    keras.utils.set_random_seed(4)
    parts = [layers.Dense(5, "tanh", name="hidden")]
    if dropout:
        parts.append(kib.layers.InformationDropout(layers.Dense(5, "relu"), beta=0.1))
    network = keras.Sequential([keras.Input((6,)), *parts, layers.Dense(3)])
    options = {"prior_scale": 1.0, "variational_bias": True, "initial_scale": 0.3, "seed": 1}
    options |= {"num_examples": 70, "estimator": estimator, "verbose": 0}
    return compiled(kib.make_variational(network, **options))


def bottleneck():
    """A code whose price depends on the labels."""
    keras.utils.set_random_seed(6)
    options = {"prior": "conditional", "num_classes": 3, "seed": 1}
    code = kib.layers.GaussianBottleneck(4, beta=0.1, **options)
    network = keras.Sequential([keras.Input((6,)), code, layers.Dense(3)])
    return compiled(kib.InformationBottleneckModel(network, num_examples=70))


def dense_model():
    """With an optimizer that keeps something."""
    keras.utils.set_random_seed(5)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss)
    return model


def trained_model():
    """The same after an epoch."""
    model = dense_model()
    model.fit(X, Y, batch_size=32, epochs=1, verbose=0)
    return model


MODELS = {
    "bottleneck": bottleneck,
    "trained": trained_model,
    "fresh": dense_model,
    "plain": plain_model,
    "local": noisy_model,
    "flipout": lambda: noisy_model("flipout"),
    "dropout": lambda: noisy_model(dropout=True),
}
