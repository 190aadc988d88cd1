"""Two small classifiers of three classes, and data for them."""

import keras
import numpy as np

from tests.support import reference_fisher as reference

layers = keras.layers
LOGITS = {"likelihood": "categorical", "labels": "expected"}


def _data(*shape):
    """Eleven examples and their labels."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(11, *shape)).astype(np.float32), rng.integers(0, 3, 11)


IMAGES, POINTS = _data(6, 6, 1), _data(4)


def classifier(dtype="float32"):
    """Of images."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1), dtype=dtype),
            layers.Conv2D(3, 3, activation="tanh", dtype=dtype),
            layers.Flatten(dtype=dtype),
            layers.Dense(3, dtype=dtype),
        ]
    )


def dense_classifier(outputs=3, activation=None, dtype="float32"):
    """Of points."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="tanh", dtype=dtype),
            layers.Dense(outputs, activation=activation, dtype=dtype),
        ]
    )


def diagonal(result):
    """As one vector."""
    return reference.flat(result.diagonal())
