"""A small network, taken for a minimum, with its Fisher matrices of every exact structure."""

import keras
import numpy as np

from keras_infobottleneck.estimators import fisher_information

layers = keras.layers

EXACT = ("diagonal", "kronecker", "dense", "gram")
BETA = 0.01


def small_minimum():
    """A float64 network, inputs, labels, and its Fisher matrices of expected labels."""
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="tanh", dtype="float64"),
            layers.Dense(3, dtype="float64"),
        ]
    )
    x, y = rng.normal(size=(9, 4)), rng.integers(0, 3, 9)
    options = {"labels": "expected", "likelihood": "categorical"}
    fishers = {s: fisher_information(model, x, structure=s, **options) for s in EXACT}
    return model, (x, y), fishers


def dense_matrix(fisher):
    eye = np.eye(fisher.size)
    split = fisher.layout.split
    return np.stack([fisher.layout.join(fisher.matvec(split(row))) for row in eye])


def weights_of(model):
    return np.concatenate([np.ravel(v) for v in model.trainable_variables])
