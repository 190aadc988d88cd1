"""Outputs that are not what the likelihood says: one sentence, with what to write."""

import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import (
    fisher_information,
    hessian,
    information_curve,
    information_in_weights,
)

layers = keras.layers
X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
CLASSES, COINS = np.arange(6) % 3, np.arange(6) % 2


def network(units, activation, loss):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(units, activation)])
    model.compile(loss=loss)
    return model


@pytest.mark.parametrize(
    ("units", "labels", "loss", "word"),
    [
        (3, CLASSES, "sparse_categorical_crossentropy", "categorical"),
        (3, np.eye(3)[CLASSES], keras.losses.CategoricalCrossentropy(), "categorical"),
        (1, COINS[:, None], "binary_crossentropy", "bernoulli"),
    ],
)
def test_logits_of_a_loss_of_probabilities_are_refused_and_what_is_advised_works(
    units, labels, loss, word
):
    model = network(units, None, loss)
    for measure, options in (
        (fisher_information, {}),
        (information_in_weights, {"beta": 0.1}),
        (information_curve, {}),
        (hessian, None),
    ):
        options = {} if options is None else {"labels": "empirical", **options}
        with pytest.raises(ValueError, match=rf"^The outputs must be prob.*='{word}'. Received: "):
            measure(model, (X, labels), **options)
    advised = fisher_information(model, (X, labels), labels="empirical", likelihood=word)
    assert np.isfinite(advised.trace())


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
@pytest.mark.parametrize(
    ("units", "activation", "loss"),
    [
        (3, "softmax", "sparse_categorical_crossentropy"),
        (2, "sigmoid", "binary_crossentropy"),  # which need not sum to one
    ],
)
def test_probabilities_are_taken_in_half_precision_too(units, activation, loss, dtype):
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(units, dtype=dtype), layers.Activation(activation)]
    )
    model.compile(loss=loss)
    assert np.isfinite(fisher_information(model, X, seed=0).trace())


def test_weights_that_are_not_finite_are_still_told_apart():
    model = network(3, "softmax", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="look for NaN in the data"):
        fisher_information(model, X * np.nan, seed=0)
