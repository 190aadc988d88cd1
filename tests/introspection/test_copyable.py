"""Models with a `Lambda`: copied where Keras can, else refused by the layer's name."""

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib

layers = keras.layers


def unregistered(x):
    return 2.0 * x


@keras.saving.register_keras_serializable("tests")
def registered(x):
    return 2.0 * x


def network(function):
    parts = [
        layers.Dense(5),
        layers.BatchNormalization(),
        layers.Lambda(function, name="doubled"),
        layers.Dense(3),
    ]
    return keras.Sequential([keras.Input((4,)), *parts])


X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
COPIES = {
    "make_variational": lambda m: kib.models.make_variational(m, num_examples=8, verbose=0),
    "make_deterministic": kib.models.make_deterministic,
    "recalibrate": lambda m: kib.models.recalibrate_batch_normalization(m, X),
    "quantize_to": lambda m: kib.estimators.quantize_to(m, 4),
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("function", [lambda x: 2.0 * x, unregistered])
def test_a_function_that_keras_does_not_find_is_refused_by_name(name, function):
    with pytest.raises(ValueError, match="Received: a Lambda layer named 'doubled'"):
        COPIES[name](network(function))


def test_a_registered_function_is_copied():
    for name in ("make_variational", "quantize_to"):
        copy = COPIES[name](network(registered))
        assert np.all(np.isfinite(copy.predict(X, verbose=0)))
