"""Schedules and small files that the examples share, against what they say of themselves."""

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from reproduction.frame import small_files, training


def test_the_price_overshoots_and_the_rate_falls():
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model = kib.make_variational(plain, num_examples=10, verbose=0)
    model.compile(keras.optimizers.Adam(0.5), "mse")
    prices, rates = [], []

    class Seen(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            prices.append(float(model.weight_beta.numpy()))
            rates.append(float(model.optimizer.learning_rate.numpy()))

    schedules = training.schedules(model, epochs=20, price=0.5, rate=0.02)
    x = np.zeros((10, 2), "float32")
    model.fit(x, x, epochs=20, callbacks=[*schedules, Seen()], verbose=0)
    assert prices[0] == pytest.approx(0.025 * 0.5)
    assert np.all(np.diff(prices[:8]) >= 0)
    np.testing.assert_allclose(prices[7:11], 2.0, rtol=1e-5)  # four times the price
    np.testing.assert_allclose(prices[16:], 0.5, rtol=1e-5)
    np.testing.assert_allclose(rates[:9], 0.02, rtol=1e-5)
    np.testing.assert_allclose(rates[18:], 0.02 / 40, rtol=1e-5)


def test_a_pruned_network_stays_pruned_and_a_rounded_one_has_few_values():
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((20,)), keras.layers.Dense(30)])
    small_files.prune(network, 0.25)
    network.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(40, 20)).astype("float32")
    network.fit(x, np.ones((40, 30)), verbose=0)
    kernel, _ = network.get_weights()
    assert np.mean(kernel != 0) == pytest.approx(0.25, abs=0.01)
    size = small_files.quantise(network)
    rounded, _ = network.get_weights()
    step = np.abs(rounded).max() / 127
    np.testing.assert_allclose(rounded / step, np.rint(rounded / step), atol=1e-3)
    assert np.abs(rounded - kernel).max() <= step / 2 + 1e-7
    assert 100 < size < 30 * 20
