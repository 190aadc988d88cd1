"""Bounds for one network: exact binomial tails, their Chernoff form, and files of few bits."""

import math

import numpy as np
import pytest
from scipy import stats

import keras_infobottleneck as kib
from keras_infobottleneck import pac_bayes

pytestmark = pytest.mark.quick

from_test_set = kib.estimators.test_set_bound
occam = kib.estimators.occam_bound
COUNTS = [(k, n) for n in (1, 2, 10, 1000, 30_000, 10**6, 10**7) for k in {0, 1, n // 50, n // 2}]


@pytest.mark.parametrize("delta", [0.5, 0.035, 1e-6, 1e-30])
def test_it_is_the_limit_of_clopper_and_pearson(delta):
    errors, num_examples = np.array([pair for pair in COUNTS if pair[0] < pair[1]]).T
    found = from_test_set(errors, num_examples, delta)
    exact = stats.beta.isf(delta, errors + 1, num_examples - errors)
    np.testing.assert_allclose(found, exact, rtol=1e-7, atol=1e-9)
    # Rounded to the safe side, but for what SciPy rounds itself.
    assert np.all(found >= exact * (1 - 1e-9))


def test_of_very_many_examples_it_is_that_of_the_form_for_losses():
    assert from_test_set(10**7, 10**9, 0.05) == from_test_set(10**7, 10**9, 0.05, kind="kl")


def test_so_few_errors_have_the_probability_delta_at_the_limit():
    for errors, num_examples in ((0, 5), (3, 17), (40, 50)):
        r = from_test_set(errors, num_examples, 0.1)
        terms = [
            math.comb(num_examples, k) * r**k * (1 - r) ** (num_examples - k)
            for k in range(errors + 1)
        ]
        assert sum(terms) == pytest.approx(0.1, rel=1e-8)


def test_where_all_are_wrong_nothing_is_promised():
    assert from_test_set(7, 7, 0.1) == from_test_set(7, 7, 0.1, kind="kl") == 1.0
    assert from_test_set(0, 200, 0.05) == pytest.approx(1 - 0.05 ** (1 / 200), abs=1e-10)


def test_the_bound_of_the_images_of_mnist_is_the_known_one():
    assert from_test_set(428, 30_000, 0.035) == pytest.approx(0.0156, abs=5e-5)
    assert from_test_set(287, 30_000, 0.035) == pytest.approx(0.0106, abs=5e-5)


def test_the_form_for_losses_is_the_inversion_and_looser():
    errors = np.array([0, 1, 20, 500, 999])
    exact = from_test_set(errors, 1000, 0.05)
    of_losses = from_test_set(errors, 1000, 0.05, kind="kl")
    assert of_losses[0] == exact[0]  # where no example is wrong both are (1 - r)^N
    assert np.all(of_losses[1:] > exact[1:])
    same = kib.estimators.monte_carlo_bound(errors / 1000, 1000, 0.05)
    np.testing.assert_allclose(of_losses, same, rtol=1e-12)
    assert of_losses[2] < from_test_set(20.5, 1000, 0.05, kind="kl") < of_losses[3]


def test_a_file_of_no_bits_is_a_network_that_was_fixed():
    assert occam(0, 20, 1000, 0.05) == from_test_set(20, 1000, 0.05, kind="kl")
    r = occam(800, 20, 10_000, 0.05)
    divergence = float(pac_bayes.binary_kl(np.float64(0.002), np.float64(r)))
    assert divergence == pytest.approx((800 * math.log(2) - math.log(0.05)) / 10_000, rel=1e-8)
    assert occam(10**7, 20, 1000, 0.05) == 1.0
    # Files of 8 bits: choosing the best of 256 costs what the union costs.
    assert occam(8, 20, 1000, 0.05) == pytest.approx(occam(0, 20, 1000, 0.05 / 256), rel=1e-12)


class TestHonesty:
    """On 1,000 problems each bound fails at most as often as stated."""

    num_problems, num_examples, delta = 1000, 60, 0.1

    def test_of_a_network_that_never_saw_the_examples(self):
        random = np.random.default_rng(0)
        rates = random.uniform(0.0, 1.0, self.num_problems)
        errors = random.binomial(self.num_examples, rates)
        slack = 3 * math.sqrt(self.delta * 0.9 / self.num_problems)
        failures = np.mean(from_test_set(errors, self.num_examples, self.delta) < rates)
        assert 0.5 * self.delta < failures <= self.delta + slack  # exact, and so not much less
        losses = random.beta(0.5, 2.0, (self.num_problems, self.num_examples)).sum(1)
        bound = from_test_set(losses, self.num_examples, self.delta, kind="kl")
        assert np.mean(bound < 0.2) <= self.delta

    def test_of_the_best_of_all_files_of_ten_bits(self):
        # Labels are coins: each of 1,024 files errs on half of all new data.
        random = np.random.default_rng(1)
        errors = random.binomial(self.num_examples, 0.5, (self.num_problems, 1024)).min(1)
        assert np.mean(occam(10, errors, self.num_examples, self.delta) < 0.5) <= self.delta
        assert np.mean(occam(0, errors, self.num_examples, self.delta) < 0.5) > 0.5


REFUSAL = r"`errors` must not be more than `num_examples`[^\n]* Received: "


@pytest.mark.parametrize("arguments", [(3, 2, 0.1), ([1, 9], 5, 0.1)])
def test_more_errors_than_examples_are_refused(arguments):
    for kind in ("binomial", "kl"):
        with pytest.raises(ValueError, match=REFUSAL):
            from_test_set(*arguments, kind=kind)
    with pytest.raises(ValueError, match=REFUSAL):
        occam(8, *arguments)
