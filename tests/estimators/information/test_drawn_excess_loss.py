"""The loss that drawn weights of the Gaussian code add."""

import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import (
    drawn_excess_loss,
    fisher_information,
    hessian,
    information_in_weights,
)
from tests.support.small_minimum import EXACT, dense_matrix, small_minimum, weights_of


@pytest.fixture(scope="module")
def regression():
    """A linear network with unit noise: its loss is quadratic in the weights."""
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, dtype="float64")])
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))
    weights = np.linalg.lstsq(np.c_[x, np.ones(30)], y, rcond=None)[0]
    model.layers[0].set_weights([weights[:-1], weights[-1]])
    return model, (x, y)


@pytest.fixture(scope="module")
def minimum():
    return small_minimum()


@pytest.mark.parametrize("structure", EXACT)
def test_of_a_quadratic_loss_it_is_half_the_trace_of_curvature_and_covariance(
    regression, structure
):
    model, data = regression
    options = {"labels": "expected", "likelihood": "normal"}
    curvature = dense_matrix(fisher_information(model, data, structure="dense", **options))
    fisher = fisher_information(model, data, structure=structure, **options)
    beta, scale = 0.05, 0.8
    shifted = dense_matrix(fisher) + beta / scale**2 * np.eye(fisher.size)
    expected = 0.5 * np.trace(curvature @ (beta * np.linalg.inv(shifted)))
    found = drawn_excess_loss(
        *(model, data, fisher),
        **{"beta": beta, "prior_scale": scale, "num_draws": 300, "likelihood": "normal", "seed": 0},
    )
    assert found.agrees_with(expected)
    assert 0 < found.standard_error < 0.2 * expected


@pytest.mark.slow
def test_small_noise_costs_what_the_curvature_says_and_large_noise_does_not(minimum):
    model, data, fishers = minimum
    before, fisher = weights_of(model), fishers["dense"]
    options = {"num_draws": 300, "likelihood": "categorical", "seed": 0}
    # No minimum: the curvature of the loss is the Hessian, not F.
    curvature = dense_matrix(hessian(model, data, likelihood="categorical"))
    covariance = 1e-4 * np.linalg.inv(dense_matrix(fisher) + 1e-4 / 0.1**2 * np.eye(fisher.size))
    small = drawn_excess_loss(model, data, fisher, beta=1e-4, prior_scale=0.1, **options)
    assert small.agrees_with(0.5 * np.trace(curvature @ covariance))
    large = drawn_excess_loss(model, data, fisher, beta=10.0, prior_scale=10.0, **options)
    held = information_in_weights(model, fisher, beta=10.0, prior_scale=10.0)
    assert not large.agrees_with(held.excess_loss, 10)
    np.testing.assert_array_equal(weights_of(model), before)


def test_a_seed_decides_the_draws_and_none_draws_others(minimum):
    model, data, fishers = minimum
    options = {"beta": 0.01, "num_draws": 2, "likelihood": "categorical"}
    values = [
        float(drawn_excess_loss(model, data, fishers["diagonal"], seed=seed, **options))
        for seed in (3, 3, None)
    ]
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"beta": 0}, ValueError, "beta"),
        ({"num_draws": 1}, ValueError, "num_draws"),
        ({"num_draws": 2.5}, TypeError, "num_draws"),
        ({"seed": -1}, ValueError, "seed"),
        ({"prior_scale": "best"}, ValueError, "prior_scale"),
        ({"fisher": 3}, TypeError, "FisherInformation"),
        ({"data": np.ones((9, 4))}, ValueError, "x, y"),
    ],
)
def test_bad_arguments_are_one_sentence(minimum, options, error, message):
    model, data, fishers = minimum
    arguments = {"data": data, "fisher": fishers["diagonal"], "beta": 0.01}
    arguments |= {"likelihood": "categorical"} | options
    with pytest.raises(error, match=f"{message}.*Received: "):
        drawn_excess_loss(model, **arguments)
