"""The MDL probe: the length of a known model's labels, and its control."""

import math

import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.estimators.coding.softmax_regression import (
    softmax_log_probabilities,
    softmax_regression,
)

mdl_probe = kib.estimators.mdl_probe
pytestmark = pytest.mark.quick


def data(num_examples, num_units, seed=0, strength=1.5):
    """Labels of a known logistic model, and the nats that its own code takes."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(num_examples, num_units))
    p = 1 / (1 + np.exp(-strength * z[:, 0]))
    y = (random.random(num_examples) < p).astype(int)
    entropy = -np.sum(np.log(np.where(y, p, 1 - p)))
    return z, y, entropy


def test_the_regression_converges_to_the_minimum():
    random = np.random.default_rng(1)
    z, y = random.normal(size=(80, 4)), random.integers(0, 3, 80)
    w = softmax_regression(z, y, 3, 0.7, 400)
    p = np.exp(softmax_log_probabilities(z, w))
    gradient = z.T @ (p - np.eye(3)[y]) + 0.7 * w
    assert np.abs(gradient).max() < 1e-6
    few = softmax_regression(z, y, 3, 0.7, 5)  # steps never go up from the start

    def loss(w):
        return -np.sum(softmax_log_probabilities(z, w)[np.arange(80), y]) + 0.35 * np.sum(w**2)

    assert loss(w) <= loss(few) <= 80 * math.log(3)


def test_each_weight_of_the_model_costs_half_a_log_n(monkeypatch):
    # One penalty, so that no switch is paid, and blocks so short that the code is nearly that of
    # one label after another.
    monkeypatch.setattr("keras_infobottleneck.estimators.coding.probe.PENALTIES", (1.0,))
    num_examples, num_units = 4000, 6
    ends = np.unique(np.geomspace(16, num_examples, 40).astype(int))
    regrets = []
    for seed in range(4):
        z, y, entropy = data(num_examples, num_units, seed)
        code = mdl_probe(z, y, blocks=ends, num_steps=40, seed=seed).code
        assert np.all(code.choices[1:] == 1)
        regrets.append(code.nats - code.block_nats[0] - entropy * (1 - 16 / num_examples))
    expected = (num_units + 1) / 2 * math.log(num_examples / 16)
    assert abs(np.mean(regrets) - expected) < 4


def test_random_labels_are_told_no_shorter_than_there_are_orders():
    for seed, balance in enumerate((0.5, 0.5, 0.1)):
        random = np.random.default_rng(seed)
        z = random.normal(size=(600, 20))
        y = (random.random(600) < balance).astype(int)
        found = mdl_probe(z, y, seed=seed)
        for code in (found.control, found.code):  # these labels are random too
            assert code.nats >= found.least_control_nats - 3 * code.nats.standard_error
        assert abs(found.saved_nats) < 4 * math.hypot(
            found.code.nats.standard_error, found.control.nats.standard_error
        )
    balanced = math.lgamma(601) - 2 * math.lgamma(301)
    assert 600 * math.log(2) - 5 < balanced < 600 * math.log(2)


def test_activations_that_tell_the_labels_save_what_they_tell():
    z, y, entropy = data(2000, 5, strength=6.0)
    found = mdl_probe(z, y)
    assert entropy < found.code.nats < 0.8 * found.code.uniform_nats
    assert found.control.nats > found.least_control_nats
    assert found.saved_nats > 400
    assert found.numbers()["control_nats"] == float(found.control.nats)
    assert "random labels" in repr(found)
    axes = found.plot()
    assert len(axes.lines) == 3
    again = mdl_probe(100.0 * z.reshape(2000, 5, 1) + 7.0, y)
    assert again.code.nats == pytest.approx(found.code.nats, rel=1e-6)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="`y` must hold classes from 0 on, two at least"):
        mdl_probe(np.ones((4, 2)), np.zeros(4, int))
