"""A network with a narrow layer, and a single linear layer, each with its curvature."""

import keras
import numpy as np

from keras_infobottleneck.estimators import fisher_information
from keras_infobottleneck.estimators.fisher.structures.diagonal import DiagonalFisher
from keras_infobottleneck.linear_algebra.layout import Layout
from tests.support.small_minimum import BETA, EXACT

layers = keras.layers

PRIOR_SCALE = 0.8
OPTIONS = {"beta": BETA, "prior_scale": PRIOR_SCALE}


def narrow_network():
    """A float64 network with a narrow layer in its middle, inputs, and Fisher matrices."""
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((5,), dtype="float64"),
            layers.Dense(4, activation="tanh", dtype="float64", name="first"),
            layers.Dense(3, activation="tanh", dtype="float64", name="narrow"),
            layers.Dense(3, dtype="float64", name="last"),
        ]
    )
    x = rng.normal(size=(11, 5))
    options = {"labels": "expected", "likelihood": "categorical"}
    return model, x, {s: fisher_information(model, x, structure=s, **options) for s in EXACT}


def linear_case(x):
    """One linear layer with a made-up diagonal curvature."""
    model = keras.Sequential(
        [keras.Input(x.shape[1:], dtype="float64"), layers.Dense(3, dtype="float64", name="z")]
    )
    rng = np.random.default_rng(1)
    values = tuple(rng.uniform(1, 5, v.shape) for v in model.trainable_variables)
    layout = Layout.of([v.path for v in model.trainable_variables], model.trainable_variables)
    return model, DiagonalFisher(layout, "expected", len(x), values)
