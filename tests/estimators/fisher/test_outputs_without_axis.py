"""Models whose output is one number per example, of shape `[batch]`."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from keras_infobottleneck.estimators import (
    fisher_information,
    hessian,
    information_curve,
    information_in_weights,
)

layers = keras.layers
STRUCTURES = ("diagonal", "kronecker", "dense", "gram", "implicit")
X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


@functools.cache
def networks(activation, loss):
    """The same network with outputs `[batch]` and `[batch, 1]`."""
    found = []
    for is_flat in (True, False):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        x = layers.Dense(1, activation=activation)(layers.Dense(3, activation="tanh")(inputs))
        found.append(keras.Model(inputs, layers.Reshape(())(x) if is_flat else x))
        found[-1].compile("sgd", loss)
    assert found[0].output_shape == (None,)
    return found


CASES = {
    "mse": (None, "mse", None),
    "sigmoid": ("sigmoid", "binary_crossentropy", None),
    "logits": (None, keras.losses.BinaryCrossentropy(from_logits=True), None),
    "distribution": (None, "mse", lambda outputs: tfd.Normal(outputs, 1.0)),
}


# Each output and each kind of labels once; the other pairs are slow.
IN_EVERY_RUN = {
    ("mse", "sampled"),
    ("sigmoid", "expected"),
    ("logits", "empirical"),
    ("distribution", "expected"),
}


@pytest.mark.parametrize(
    ("case", "labels"),
    [
        pytest.param(*pair, marks=() if pair in IN_EVERY_RUN else pytest.mark.slow)
        for pair in itertools.product(CASES, ["expected", "sampled", "empirical"])
    ],
)
def test_fisher_matrices_are_those_of_one_output(case, labels):
    activation, loss, likelihood = CASES[case]
    flat, column = networks(activation, loss)
    y = np.array([0.0, 1, 1, 0, 1, 0], np.float32)
    options = {"labels": labels, "likelihood": likelihood, "seed": 0}
    for structure in STRUCTURES:
        found = [
            fisher_information(model, data, structure=structure, **options).trace()
            for model, data in ((flat, (X, y)), (column, (X, y[:, None])))
        ]
        assert found[0] == pytest.approx(found[1], rel=1e-5), structure


@pytest.mark.parametrize("case", CASES)
def test_hessians_are_those_of_one_output(case):
    activation, loss, likelihood = CASES[case]
    flat, column = networks(activation, loss)
    y = np.array([0.0, 1, 1, 0, 1, 0], np.float32)
    vector = [np.ones(v.shape) for v in flat.trainable_variables]
    products = [
        hessian(model, (X, labels), likelihood=likelihood).matvec(vector)
        for model, labels in ((flat, y), (flat, y[:, None]), (column, y[:, None]))
        if case != "distribution" or (model is flat) == (labels is y)
    ]
    for other in products[1:]:
        for mine, its in zip(products[0], other, strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-6)


def test_curve_and_information_work():
    flat, column = networks("sigmoid", "binary_crossentropy")
    y = np.array([0.0, 1, 1, 0, 1, 0], np.float32)
    curves = [information_curve(m, (X, y), beta=[0.01, 0.1], seed=0) for m in (flat, column)]
    np.testing.assert_allclose(curves[0].nats, curves[1].nats, rtol=1e-4)
    totals = [information_in_weights(m, (X, y), beta=0.01, seed=0).nats for m in (flat, column)]
    assert totals[0] == pytest.approx(totals[1], rel=1e-4)


def test_one_number_is_no_distribution_over_classes():
    flat, _ = networks(None, "mse")
    with pytest.raises(ValueError, match=r"\[batch, ..., classes\]. Received: shape=\(1,\)"):
        fisher_information(flat, X, likelihood="categorical")
    assert tf.executing_eagerly()
