"""A small network with noise, data for it, and a name that a page must escape."""

import keras
import numpy as np

import keras_infobottleneck as kib

RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(50, 4, 4, 1)).astype("float32"), RNG.integers(3, size=50)
NASTY = "a<b>&\"c\" 'd'"


def network(units=6):
    keras.utils.set_random_seed(1)
    noisy = kib.layers.InformationDropout(
        keras.layers.Conv2D(2, 2, activation="relu", name="conv"), 0.1, name="noisy"
    )
    layers = [keras.Input((4, 4, 1)), noisy, keras.layers.Flatten()]
    layers += [keras.layers.Dense(units, "relu", name="hidden"), keras.layers.Dense(3, name="out")]
    model = keras.Sequential(layers, name="net")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model
