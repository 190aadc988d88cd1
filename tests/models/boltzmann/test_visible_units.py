"""Machines start from the log-odds of their data, of which sparse ones are an example."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from keras_infobottleneck.models import DeepBeliefNetwork, RestrictedBoltzmannMachine

RATES = np.array([0.02, 0.05, 0.01, 0.5, 0.03, 0.97, 0.02, 0.04, 0.02, 0.03])
X = (np.random.default_rng(0).random([500, 10]) < RATES).astype("float32")
ODDS = np.log((X.sum(0) + 1) / (500 - X.sum(0) + 1))


def machine(**options):
    model = RestrictedBoltzmannMachine(6, seed=0, **options)
    model.compile(keras.optimizers.SGD(0.0))
    return model


def test_biases_start_at_the_log_odds_of_an_array():
    model = machine()
    model.fit(X, verbose=0)
    np.testing.assert_allclose(model.visible_bias, ODDS, rtol=1e-5)


def test_of_a_dataset_at_those_of_its_first_batch():
    model = machine()
    model.fit(tf.data.Dataset.from_tensor_slices(X).batch(100), verbose=0)
    on = X[:100].sum(0)
    np.testing.assert_allclose(model.visible_bias, np.log((on + 1) / (101 - on)), rtol=1e-5)


def test_biases_that_were_set_or_learned_stay():
    model = machine()
    model.build((None, 10))
    model.visible_bias.assign(np.arange(10.0))
    model.fit(X, verbose=0)
    np.testing.assert_array_equal(model.visible_bias, np.arange(10.0))
    trained = machine()
    trained.fit(X, verbose=0)
    trained.visible_bias.assign(np.zeros(10))
    trained.fit(X, verbose=0)
    np.testing.assert_array_equal(trained.visible_bias, np.zeros(10))


@pytest.mark.parametrize("deep", [False, True])
def test_sparse_data_do_not_end_in_one_state_with_all_units_on(deep):
    options = {"num_steps": 1, "seed": 0}
    model = DeepBeliefNetwork([6], **options) if deep else RestrictedBoltzmannMachine(6, **options)
    model.compile(keras.optimizers.SGD(0.05))
    model.fit(X, epochs=10, batch_size=50, verbose=0)
    first = model.machines[0] if deep else model
    states = np.random.default_rng(1).random([200, 6]) < 0.5
    drawn = first.generate(states, num_steps=20)
    np.testing.assert_allclose(drawn.mean(0), X.mean(0), atol=0.08)


def test_the_next_machine_starts_at_the_log_odds_of_the_states_below():
    model = DeepBeliefNetwork([6, 4], seed=0)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(X, verbose=0)
    hidden = model.machines[0].predict(X, verbose=0).sum(0)
    expected = np.log((hidden + 1) / (501 - hidden))
    np.testing.assert_allclose(model.machines[1].visible_bias, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("data", [sparse.csr_matrix(X), tf.sparse.from_dense(X)])
def test_sparse_containers_are_refused_in_a_sentence(data):
    with pytest.raises(TypeError, match=r"must hold dense arrays.*Received: (Sparse|csr)"):
        machine().fit(data, verbose=0)
