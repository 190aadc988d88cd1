"""The bits-back code by hand, its parts, and that nothing is told for nothing."""

import math

import keras
import numpy as np
import pytest
from keras import layers

import keras_infobottleneck as kib
from tests.support.certified_networks import X_PRIOR, Y_PRIOR, X, Y, make_model

description_length = kib.estimators.description_length
OPTIONS = {"from_logits": True, "seed": 0}


def linear_model(**options):
    network = keras.Sequential([keras.Input((5,)), layers.Dense(2, use_bias=False)])
    network.layers[0].kernel.assign(np.outer([2.0, 0, 0, 0, 0], [-1.0, 1.0]))
    options = {"initial_scale": 0.7, "prior_scale": 1.5, "seed": 0, **options}
    return make_model(network, anchored=False, **options)


@pytest.fixture(scope="module")
def length():
    return description_length(linear_model(), (X, Y), num_draws=400, **OPTIONS)


def test_the_data_cost_what_an_integral_over_the_logit_says(length):
    # The difference of the two logits is normal: Gauss-Hermite quadrature of log(1 + e^-m).
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    mean = 4.0 * X[:, 0] * (2 * Y - 1)
    std = 0.7 * math.sqrt(2) * np.linalg.norm(X, axis=1)
    margins = mean[:, None] + std[:, None] * nodes
    expected = np.sum(np.logaddexp(0.0, -margins) @ weights) / weights.sum()
    assert length.data_nats.agrees_with(expected)
    assert 0.0 < length.data_nats.standard_error < 0.02 * expected


def test_its_parts_are_the_divergence_and_nothing_for_a_scale_that_was_fixed(length):
    kl = float(linear_model().weight_information())
    assert length.weight_nats == pytest.approx(kl, rel=1e-5)
    assert length.scale_nats == 0.0
    assert length.nats == pytest.approx(length.data_nats + kl, rel=1e-6)
    assert length.uniform_nats == pytest.approx(60 * math.log(2))
    assert length.kbit == pytest.approx(length.nats / math.log(2) / 1000)
    assert next(iter(length.numbers())) == "nats"
    assert "without a network" in repr(length)


def test_drawn_weights_cost_what_noise_on_the_preactivations_costs(length):
    drawn = description_length(linear_model(estimator="sample"), (X, Y), num_draws=300, **OPTIONS)
    error = math.hypot(drawn.nats.standard_error, length.nats.standard_error)
    assert abs(drawn.nats - length.nats) < 4 * error
    assert drawn.nats.standard_error > length.nats.standard_error  # one draw serves all examples


def test_the_standard_error_is_that_of_repeated_codes():
    model = linear_model(estimator="sample")
    found = [
        description_length(model, (X, Y), num_draws=8, from_logits=True, seed=seed, batch_size=30)
        for seed in range(60)
    ]
    spread = np.std([each.nats for each in found], ddof=1)
    stated = math.sqrt(np.mean([each.nats.standard_error**2 for each in found]))
    assert stated == pytest.approx(spread, rel=4 / math.sqrt(2 * 60))


def test_fitted_scales_are_moved_to_the_grid_and_paid():
    fitted = description_length(linear_model(prior_scale=None), (X, Y), **OPTIONS)
    paid = description_length(linear_model(prior_scale="grid"), (X, Y), **OPTIONS)
    assert fitted.scale_nats > 1.0
    assert fitted == paid
    free = float(linear_model(prior_scale=None).weight_information())
    assert free <= fitted.weight_nats < free + 0.05


def test_what_learned_and_has_no_price_is_refused():
    with pytest.raises(ValueError, match=r"the divergence does not include.*/bias"):
        description_length(make_model(anchored=False, variational_bias=False), (X, Y), **OPTIONS)
    anchored = make_model()
    assert description_length(anchored, (X, Y), **OPTIONS).scale_nats == 0.0
    with pytest.raises(ValueError, match="not hold examples on which the prior depends"):
        description_length(anchored, (X_PRIOR, Y_PRIOR), **OPTIONS)
    log_normal = linear_model(posterior="log_normal", prior_scale=None, initial_scale=None)
    with pytest.raises(ValueError, match="Only Gaussian posteriors"):
        description_length(log_normal, (X, Y), **OPTIONS)


def test_labels_of_no_probability_are_refused():
    network = keras.Sequential([keras.Input((5,)), layers.Dense(1, activation="sigmoid")])
    network.layers[0].kernel.assign([[-3e4], [0.0], [0.0], [0.0], [0.0]])
    model = make_model(network, anchored=False, prior_scale=1.0)
    with pytest.raises(ValueError, match=r"probability above zero.* Received: inf nats"):
        description_length(model, (X, Y), from_logits=False, seed=0)


def test_networks_trained_on_random_labels_code_no_better_than_none():
    # Eight times the same network, at a price that does not stop it from learning by heart.
    random = np.random.default_rng(5)
    network = keras.Sequential([keras.Input((8,)), layers.Dense(2, use_bias=False)])
    options = {"prior_scale": "grid", "seed": 0, "weight_beta": 0.05, "verbose": 0}
    model = kib.make_variational(network, num_examples=50, **options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss)
    untrained = model.get_weights()
    saved, errors, learned = [], [], []
    for _ in range(8):
        x = random.normal(size=(50, 8)).astype("float32")
        y = random.integers(0, 2, 50)
        model.set_weights(untrained)
        for _ in range(40):
            model.train_on_batch(x, y)
        found = description_length(model, (x, y), **OPTIONS)
        learned.append(found.uniform_nats - found.data_nats)
        saved.append(found.uniform_nats - found.nats)
        errors.append(found.nats.standard_error)
    assert np.mean(learned) > 2.0
    assert np.sum(saved) <= 3 * math.sqrt(np.sum(np.square(errors)))
