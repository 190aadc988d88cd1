"""Bounds by a reference: their formulas by hand, their limits, and how often they fail."""

import math

import numpy as np
import pytest
from scipy import optimize, special

import keras_infobottleneck as kib

pytestmark = pytest.mark.quick

excess = kib.estimators.excess_loss_bound
recursive = kib.estimators.recursive_bound
plain = kib.estimators.pac_bayes_bound


def limits(risk, nats):
    """The smallest and largest s with ``kl(risk || s) <= nats``, by a root finder of SciPy."""

    def distance(s):
        return special.kl_div(risk, s) + special.kl_div(1 - risk, 1 - s) - nats

    below = optimize.brentq(distance, 1e-300, risk, xtol=1e-14) if risk else 0.0
    return below, optimize.brentq(distance, risk, 1 - 1e-12, xtol=1e-14)


def test_the_excess_is_the_two_inversions_of_its_formula():
    for worse, better, kl, n in ((0.02, 0.03, 5.0, 1000), (0.4, 0.0, 0.0, 50), (0, 0.5, 90.0, 900)):
        nats = (kl + math.log(4 * math.sqrt(n) / 0.05)) / n
        expected = limits(worse, nats)[1] - limits(better, nats)[0]
        assert excess(worse, better, kl, n, 0.05) == pytest.approx(expected, abs=2e-9)


def test_the_recursive_one_bounds_each_step_of_its_variable():
    # F is -gamma, 0, 1 - gamma or 1; F >= 0 unless only the reference is wrong.
    error, worse, better, kl, n, gamma = 0.1, 0.04, 0.03, 12.0, 2000, 0.3
    nats = (kl + math.log(6 * math.sqrt(n) / 0.05)) / n
    steps = [(gamma, 1 - better), (1 - gamma, error), (gamma, worse)]
    expected = -gamma + sum(height * limits(share, nats)[1] for height, share in steps)
    found = recursive(0.2, error, worse, better, kl, n, 0.05, gamma=gamma)
    assert found == pytest.approx(expected + gamma * 0.2, abs=2e-9)


def test_between_the_plain_bound_and_the_excess_it_is_both():
    arguments = 0.1, 0.04, 0.03, 12.0, 2000
    assert recursive(0.2, *arguments, 0.06, gamma=0.0) == pytest.approx(
        plain(0.1, 12.0, 2000, 0.02), abs=1e-9
    )
    assert recursive(0.2, *arguments, 0.06, gamma=1.0) == pytest.approx(
        0.2 + excess(0.04, 0.03, 12.0, 2000, 0.04), abs=1e-9
    )
    assert recursive(1.0, 1.0, 1.0, 0.0, 1e9, 10, 0.1) == 1.0
    assert excess(0.0, 1.0, 0.0, 10**9, 0.1) == pytest.approx(-1.0, abs=1e-6)
    assert isinstance(excess(0.1, 0.1, 1.0, 10, 0.1), float)
    assert excess([0.1, 0.2], 0.1, 1.0, 10, 0.1).shape == (2,)


def test_where_two_networks_agree_the_detour_pays():
    reference = kib.estimators.test_set_bound(1500, 30_000, 0.0125)
    by_excess = reference + excess(0.001, 0.006, 40.0, 30_000, 0.0125)
    assert by_excess < plain(0.045, 40.0, 30_000, 0.025) - 0.003


class TestHonesty:
    """1,000 problems: labels are coins, so that every network errs on half of all new data."""

    num_problems, num_hypotheses, num_examples = 1000, 8192, 40

    @pytest.fixture(scope="class")
    def problem(self):
        """What a posterior shows that favours the hypotheses of least error, by name."""
        random = np.random.default_rng(3)
        n = self.num_examples
        # The reference, or draws of the prior: fixed, and as blind as the hypotheses.
        errors = random.binomial(n, 0.5, (self.num_problems, 1))
        shape = (self.num_problems, self.num_hypotheses)
        worse = random.binomial(n - errors, 0.5, shape).astype(np.int8)
        better = random.binomial(errors, 0.5, shape).astype(np.int8)
        wrong = errors + worse - better
        q = np.exp(-25.0 * (wrong - wrong.min(1, keepdims=True)), dtype=np.float32)
        q /= q.sum(1, keepdims=True)
        kl = np.sum(special.xlogy(q, q), 1) + math.log(self.num_hypotheses)
        shares = {"worse": worse, "better": better, "error": wrong}
        found = {name: np.sum(q * counts, 1) / n for name, counts in shares.items()}
        return {"kl": kl, "errors": errors[:, 0], **found}

    def bounds(self, problem, kl, delta):
        """Of the excess, of the error by it, and recursively, each failing at most by delta."""
        n = self.num_examples
        counts, worse, better = problem["errors"], problem["worse"], problem["better"]
        reference = kib.estimators.test_set_bound(counts, n, delta / 2)
        by_excess = reference + excess(worse, better, kl, n, delta / 2)
        shares = problem["error"], worse, better
        recursively = recursive(reference, *shares, kl, n, delta / 2)
        return 0.5 + excess(worse, better, kl, n, delta), by_excess, recursively

    @pytest.mark.parametrize("delta", [0.1, 0.5])
    def test_they_fail_no_more_often_than_they_say(self, problem, delta):
        for bound in self.bounds(problem, problem["kl"], delta):
            assert np.mean(bound < 0.5) <= delta

    def test_without_what_pays_for_it_learning_by_heart_looks_like_a_rule(self, problem):
        # Of all labellings the one that is right on every example, which says nothing of others.
        by_heart = {
            "errors": problem["errors"],
            "worse": np.zeros(self.num_problems),
            "better": problem["errors"] / self.num_examples,
            "error": np.zeros(self.num_problems),
        }
        for bound in self.bounds(by_heart, 0.0, 0.5):
            assert np.mean(bound < 0.5) > 0.9
        for bound in self.bounds(by_heart, self.num_examples * math.log(2), 0.5):
            assert np.mean(bound < 0.5) <= 0.5
