"""Small networks and data that certificates are taken on."""

import keras
import numpy as np
from keras import layers

import keras_infobottleneck as kib

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 5)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")
X_PRIOR = RANDOM.normal(size=(20, 5)).astype("float32")
Y_PRIOR = (X_PRIOR[:, 0] > 0).astype("int32")
OPTIONS = {"delta": 0.025, "num_samples": 3, "from_logits": True, "seed": 0}


def make_model(network=None, anchored=True, **options):
    network = network or keras.Sequential(
        [keras.Input((5,)), layers.Dense(6, "relu"), layers.Dense(2)]
    )
    options = {"variational_bias": True, "initial_scale": 0.1, **options}
    model = kib.make_variational(network, num_examples=60, verbose=0, **options)
    if anchored:
        model.anchor_prior((X_PRIOR, Y_PRIOR))
        model.variational_layers[0].layer.kernel.assign_add(np.full((5, 6), 0.05, "float32"))
    return model


def joined(*parts):
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
