"""The error of a mean of few draws, against Student's distribution."""

import numpy as np
import pytest

from keras_infobottleneck.results.few_draws import error_of_draws, widening


def test_the_widening_is_students():
    """Tabulated quantiles at 0.975 over the normal one, 1.959964."""
    for num_draws, quantile in ((2, 12.7062), (8, 2.36462), (24, 2.06866), (1001, 1.96234)):
        assert widening(num_draws) == pytest.approx(quantile / 1.959964, rel=1e-5)


@pytest.mark.parametrize("count", [3, 8])
def test_few_normal_draws_are_covered_as_many_are(count):
    draws = np.random.default_rng(0).normal(size=(4000, count))
    errors = np.array([error_of_draws(each) for each in draws])
    covered = np.mean(np.abs(draws.mean(1)) <= 1.959964 * errors)
    assert covered == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 4000))
    plain = draws.std(1, ddof=1) / np.sqrt(count)
    np.testing.assert_allclose(errors, widening(count) * plain)
