"""Effective information under drawn noise against the linearised one, where both are right."""

import numpy as np
import pytest

from keras_infobottleneck.estimators import effective_information, simulated_effective_information
from keras_infobottleneck.estimators.information.linearised_layer import LinearisedLayer
from tests.support import reference_information as reference
from tests.support.narrow_networks import PRIOR_SCALE, linear_case, narrow_network
from tests.support.small_minimum import BETA, EXACT, dense_matrix


@pytest.fixture(scope="module")
def case():
    return narrow_network()


def test_drawn_noise_agrees_where_noise_is_the_same_for_every_input():
    """Inputs of +-1: activations linear in the weights, and one covariance for all examples."""
    x = np.random.default_rng(0).choice([-1.0, 1.0], size=(40, 4))
    model, fisher = linear_case(x)
    options = {"layer": "z", "fisher": fisher, "beta": 0.3, "prior_scale": 1.0}
    linearised = effective_information(model, x, **options)
    drawn = simulated_effective_information(model, x, num_draws=3000, seed=1, **options)
    assert 0 < drawn.standard_error < 0.02 * linearised.nats
    assert drawn.agrees_with(linearised.nats, 3)
    before = model.get_weights()
    few = [
        simulated_effective_information(model, x, num_draws=40, seed=s, **options)
        for s in range(12)
    ]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # Unbiased with few draws too, and the error bar is that of its spread.
    spread = np.std(few, ddof=1)
    assert abs(np.mean(few) - linearised.nats) < 4 * spread / np.sqrt(12)
    error = np.mean([f.standard_error for f in few])
    assert spread / 3 < error < 3 * spread


def test_drawn_noise_of_a_curved_layer_agrees_as_the_noise_shrinks(case):
    model, x, fishers = case
    options = {"layer": "narrow", "fisher": fishers["dense"], "prior_scale": 1e-3, "beta": 1e-6}
    linearised = effective_information(model, x, **options)
    drawn = simulated_effective_information(
        model, x, linear_input=True, num_draws=1000, seed=1, **options
    )
    assert 0 < drawn.standard_error < 0.01 * linearised.nats
    assert drawn.agrees_with(linearised.nats, 3)


@pytest.mark.parametrize("structure", EXACT)
def test_drawn_noise_has_the_covariance_that_is_linearised(case, structure):
    model, _, fishers = case
    fisher = fishers[structure]
    layer = LinearisedLayer.of(model, "last", fisher, BETA, PRIOR_SCALE)
    noise = layer.draw_noise(np.random.default_rng(0), 4000)
    flat = np.concatenate([n.reshape(4000, -1) for n in noise], 1)
    exact = reference.posterior_covariance(dense_matrix(fisher), BETA, PRIOR_SCALE)
    scale = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
    assert np.abs((flat.T @ flat / 4000 - exact) / scale).max() < 5 * np.sqrt(2 / 4000)
