"""Diagnostics of chains against distributions whose autocorrelation is known."""

import numpy as np
import pytest

from keras_infobottleneck.estimators.learning_coefficient.learning_coefficient import (
    LearningCoefficient,
    coefficient_of,
)
from keras_infobottleneck.estimators.learning_coefficient.mixing import (
    effective_sample_size,
    r_hat,
)

pytestmark = pytest.mark.quick


def autoregressive(correlation, num_chains=8, num_draws=4000):
    random = np.random.default_rng(0)
    noise = random.normal(size=(num_draws, num_chains)) * np.sqrt(1 - correlation**2)
    chains = np.empty((num_draws, num_chains))
    chains[0] = random.normal(size=num_chains)
    for t in range(1, num_draws):
        chains[t] = correlation * chains[t - 1] + noise[t]
    return chains.T


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_draws_of_an_autoregression_are_worth_what_its_correlation_says(correlation):
    chains = autoregressive(correlation)
    expected = chains.size * (1 - correlation) / (1 + correlation)
    assert effective_sample_size(chains) == pytest.approx(expected, rel=0.15)


def test_r_hat_is_one_for_one_distribution_and_known_for_two():
    chains = autoregressive(0.0)
    assert r_hat(chains) == pytest.approx(1.0, abs=0.01)
    # Means at -1 and 1 with unit variance: between 8/7, within 1.
    apart = chains + np.where(np.arange(8) % 2, 1.0, -1.0)[:, None]
    assert r_hat(apart) == pytest.approx(np.sqrt(1 + 8 / 7), rel=0.02)


def test_draws_that_do_not_differ_are_one_distribution():
    constant = np.ones((4, 10))
    assert r_hat(constant) == 1.0
    assert effective_sample_size(constant) == 40


def result(traces, **others):
    fields = {
        **{"loss": 0.1, "excess_loss": 0.01, "beta": 0.01, "localization": 1.0},
        **{"step_size": 1.0, "acceptance": 0.7, "information_slope": 1.0, "num_weights": 10},
        **{"num_examples": 100, "sampler": "langevin"},
    }
    return LearningCoefficient(**{**fields, **coefficient_of(traces), **others})


def test_each_fault_of_chains_has_its_sentence():
    good = 2.0 + autoregressive(0.0, 4, 400)
    assert result(good).flags == ()
    faults = {
        "not at a minimum": result(good - 4.0),
        "different distributions": result(good + np.arange(4)[:, None]),
        "independent ones": result(2.0 + autoregressive(0.99, 4, 400)),
        "still drift": result(good + np.linspace(0.0, 1.0, 400)),
        "Metropolis": result(good, acceptance=0.1),
        "no minimum exceeds": result(good + 9.0),
        "left the range": result(np.full((4, 8), np.nan)),
    }
    for words, found in faults.items():
        assert any(words in sentence for sentence in found.flags), words
    assert result(good, acceptance=0.1).numbers()["acceptance"] == 0.1
