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

pytestmark = pytest.mark.quick

layers = keras.layers
X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
CLASSES, COINS = np.arange(6) % 3, np.arange(6) % 2


def network(units, activation, loss):
    dense = layers.Dense(units, activation, bias_initializer=keras.initializers.Constant(9.0))
    model = keras.Sequential([keras.Input((4,)), dense])
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


def test_logits_that_look_like_a_probability_in_the_first_example_are_named_as_a_cause():
    model = network(1, None, "binary_crossentropy")
    model.layers[0].set_weights([np.full((4, 1), 5.0), np.array([0.5])])
    x = np.concatenate([np.zeros((1, 4)), -np.ones((5, 4))]).astype("float32")
    with pytest.raises(ValueError, match=r"logits where .* Received: likelihood='bernoulli_prob"):
        fisher_information(model, (x, COINS[:, None]), labels="empirical")


def test_inputs_that_are_not_finite_are_still_told_apart():
    model = network(3, "softmax", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="look for NaN in the data"):
        fisher_information(model, X * np.nan, seed=0)
