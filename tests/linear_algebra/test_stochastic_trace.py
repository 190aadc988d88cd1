"""Traces from random vectors: unbiased, and their stated errors are those that are seen."""

import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.linear_algebra.stochastic_trace import hutchinson_trace, xtrace
from keras_infobottleneck.results.few_draws import widening

pytestmark = pytest.mark.quick

SIZE, NUM_SEEDS = 40, 60
ROTATION, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(SIZE, SIZE)))
SPECTRA = {
    "flat": 1 + 0.1 * np.random.default_rng(1).normal(size=SIZE),
    "slow": 1 / (1 + np.arange(SIZE)),
    "fast": 0.5 ** np.arange(SIZE),
}
OF_RANK_3 = {"rank 3": np.r_[[5.0, 2.0, 1.0], np.zeros(SIZE - 3)]}


def estimates(method, spectrum, num_probes=8):
    matrix = tf.constant((ROTATION * (SPECTRA | OF_RANK_3)[spectrum]) @ ROTATION.T)
    options = {"num_probes": num_probes, "dtype": tf.float64}
    found = [
        method(lambda v: tf.linalg.matvec(matrix, v), SIZE, seed=seed, **options)
        for seed in range(NUM_SEEDS)
    ]
    return np.array(found), np.array([each.standard_error for each in found])


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_the_error_that_xtrace_states_is_the_one_that_is_seen(spectrum):
    """Never much less: its values share a range, and are not independent."""
    values, errors = estimates(xtrace, spectrum)
    spread, truth = values.std(ddof=1), SPECTRA[spectrum].sum()
    assert abs(values.mean() - truth) < 4 * spread / np.sqrt(NUM_SEEDS)
    stated = np.sqrt(np.mean(errors**2)) / spread
    assert 0.8 < stated < (2.5 if spectrum == "fast" else 1.35)
    assert np.mean(np.abs(values - truth) < 1.96 * errors) > 0.8


def test_the_error_that_hutchinson_states_is_the_one_that_is_seen_and_covers():
    """Widened for 8 probes, as Student's distribution asks."""
    values, errors = estimates(hutchinson_trace, "slow")
    stated = np.sqrt(np.mean(errors**2)) / widening(8)
    assert stated == pytest.approx(values.std(ddof=1), rel=0.15)
    truth = SPECTRA["slow"].sum()
    assert 0.9 <= np.mean(np.abs(values - truth) < 1.96 * errors) <= 0.99


def test_a_matrix_of_small_rank_is_exact_and_said_to_be():
    values, errors = estimates(xtrace, "rank 3")
    np.testing.assert_allclose(values, 8.0, rtol=1e-9)
    assert errors.max() < 1e-6
