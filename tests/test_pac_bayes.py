"""Bounds to nine digits on the safe side, and honest: they fail no more often than they say."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib
from keras_infobottleneck import pac_bayes

pytestmark = pytest.mark.quick

bound = kib.estimators.pac_bayes_bound
monte_carlo_bound = kib.estimators.monte_carlo_bound
KINDS = ("kl", "mcallester", "quadratic")
RISKS = [0.0, 1e-12, 1e-9, 1e-4, 0.02, 0.3, 0.5, 0.97, 1 - 1e-9, 1.0]
KLS = [0.0, 1e-6, 0.1, 7.0, 5e3, 1e6]
NUMS = [1, 2, 50, 30_000, 10**9]


def exact_kl(risk, r):
    """``kl(risk || r)`` to forty digits."""
    q, r = Decimal(risk), Decimal(r)
    first = q * (q / r).ln() if q else Decimal(0)
    return first + ((1 - q) * ((1 - q) / (1 - r)).ln() if q != 1 else Decimal(0))


@pytest.mark.parametrize("num_examples", NUMS)
def test_the_inversion_is_right_to_nine_digits_and_never_too_small(num_examples):
    for risk in RISKS:
        for kl in KLS:
            r = bound(risk, kl, num_examples, 0.025)
            assert risk <= r <= 1.0
            with localcontext() as context:
                context.prec = 40
                nats = Decimal(kl) + (2 * Decimal(num_examples).sqrt() / Decimal("0.025")).ln()
                nats /= num_examples
                if r < 1.0:
                    assert exact_kl(risk, r) >= nats
                lower = Decimal(r) - Decimal("1e-9")
                if lower > Decimal(risk):
                    assert exact_kl(risk, lower) < nats


def test_it_has_the_closed_form_of_no_error_at_all():
    nats = math.log(2 * math.sqrt(200) / 0.05) + 3.0
    assert bound(0.0, 3.0, 200, 0.05) == pytest.approx(-math.expm1(-nats / 200), abs=1e-10)
    assert monte_carlo_bound(0.0, 200, 0.05) == pytest.approx(1 - 0.05 ** (1 / 200), abs=1e-10)


def test_the_other_kinds_are_their_formulas_and_looser():
    risk, kl, num_examples, delta = np.meshgrid(RISKS, KLS, NUMS, [0.01, 0.5])
    c = (kl + np.log(2 * np.sqrt(num_examples) / delta)) / num_examples
    expected = {
        "mcallester": risk + np.sqrt(c / 2),
        "quadratic": (np.sqrt(risk + c / 2) + np.sqrt(c / 2)) ** 2,
    }
    tightest = bound(risk, kl, num_examples, 0.5)
    for kind, values in expected.items():
        for d in (0, 1):
            ours = bound(risk[..., d], kl[..., d], num_examples[..., d], [0.01, 0.5][d], kind=kind)
            np.testing.assert_allclose(ours, np.minimum(values[..., d], 1.0), atol=1e-9)
        assert np.all(tightest[..., 1] <= ours + 1e-10)
    ours = bound(risk[..., 0], kl[..., 0], num_examples[..., 0], 0.01, kind="linear", beta=2.0)
    price = 2.0 * (kl[..., 0] - math.log(0.01)) / num_examples[..., 0]
    values = (risk[..., 0] + price) / (1 - 1 / 4)
    np.testing.assert_allclose(ours, np.minimum(values, 1.0), atol=1e-9)


@pytest.mark.parametrize("kind", [*KINDS, "linear"])
def test_every_bound_lies_between_the_risk_and_one_and_grows(kind):
    options = {"kind": kind, "beta": 1.5 if kind == "linear" else None}
    random = np.random.default_rng(0)
    risk, kl = random.random(1000), 10 ** random.uniform(-6, 6, 1000)
    num_examples = np.floor(10 ** random.uniform(0, 9, 1000)).astype(int)
    values = bound(risk, kl, num_examples, 0.1, **options)
    assert np.all((values >= risk) & (values <= 1.0))
    assert np.all(bound(risk, 2 * kl, num_examples, 0.1, **options) >= values)
    assert np.all(bound(risk, kl, num_examples, 0.05, **options) >= values)
    assert bound(0.5, math.inf, 10, 0.1, **options) == 1.0
    assert bound(0.0, math.inf, 10, 0.1, **options) == 1.0
    assert isinstance(bound(0.5, 1.0, 10, 0.1, **options), float)


def test_two_roots_of_n_bound_the_moment_of_maurers_theorem_from_one_example_on():
    # xi(N) = sum_k binomial(N, k) (k/N)^k (1 - k/N)^(N-k); printed for N >= 8.
    for n in range(1, 200):
        k = np.arange(n + 1)
        binomials = np.array([math.comb(n, int(i)) for i in k], float)
        xi = np.sum(binomials * (k / n) ** k * (1 - k / n) ** (n - k))
        assert xi <= 2 * math.sqrt(n)


class TestHonesty:
    """Wrong at most as often as stated; without what pays for it, wrong more often."""

    def test_a_ten_percent_certificate_fails_ten_times_in_a_hundred_at_most(self):
        # 500 problems: labels are coins, 8,192 hypotheses guess, the posterior favours those that
        # guessed well. Whatever it is, its true risk is one half.
        random = np.random.default_rng(1)
        num_problems, num_hypotheses, num_examples = 500, 8192, 40
        right = random.binomial(num_examples, 0.5, (num_problems, num_hypotheses))
        risks = 1.0 - right / num_examples
        log_q = -1000.0 * (risks - risks.min(1, keepdims=True))
        log_q -= np.log(np.sum(np.exp(log_q), 1, keepdims=True))
        q = np.exp(log_q)
        kl = np.sum(q * (log_q + np.log(num_hypotheses)), 1)
        risk = np.sum(q * risks, 1)
        for kind in KINDS:
            failures = np.mean(bound(risk, kl, num_examples, 0.1, kind=kind) < 0.5)
            assert failures <= 0.1
            unpaid = np.mean(bound(risk, 0.0, num_examples, 0.1, kind=kind) < 0.5)
            assert kind == "quadratic" or unpaid > 0.5  # that one is loose at such risks

    def test_the_monte_carlo_bound_holds_for_trials_of_unequal_means(self):
        random = np.random.default_rng(2)
        means = random.beta(0.1, 2.0, 300)
        observed = (random.random((4000, 300)) < means).mean(1)
        failures = monte_carlo_bound(observed, 300, 0.1) < means.mean()
        standard_error = math.sqrt(0.1 * 0.9 / 4000)
        assert failures.mean() <= 0.1 + 4 * standard_error
        assert (observed < means.mean()).mean() > 0.3  # without the bound it is a coin


def test_the_gradient_is_that_of_the_inverse_and_finite_at_zero_risk():
    risk = tf.constant([0.01, 0.3, 0.9], tf.float64)
    nats = tf.constant([1e-3, 0.1, 0.02], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch([risk, nats])
        r = pac_bayes.kl_inverse(risk, nats)
    h = 1e-6
    inverse = pac_bayes.kl_inverse
    by_risk = (inverse(risk + h, nats) - inverse(risk - h, nats)) / (2 * h)
    by_nats = (inverse(risk, nats + h) - inverse(risk, nats - h)) / (2 * h)
    for ours, expected in zip(tape.gradient(r, [risk, nats]), (by_risk, by_nats), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5)
    compiled = tf.function(inverse, jit_compile=True)
    np.testing.assert_allclose(compiled(risk, nats), r, rtol=1e-12)
    zero, nats = tf.zeros([], tf.float64), tf.constant(1e-4, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch([zero, nats])
        r = pac_bayes.kl_inverse(zero, nats)
    assert np.all(np.isfinite(tape.gradient(r, [zero, nats])))


@pytest.mark.parametrize(
    ("arguments", "options", "name"),
    [
        ((-0.1, 1, 10, 0.1), {}, "risk"),
        ((1.1, 1, 10, 0.1), {}, "risk"),
        ((math.nan, 1, 10, 0.1), {}, "risk"),
        (("a", 1, 10, 0.1), {}, "risk"),
        (([0.1, 2.0], 1, 10, 0.1), {}, "risk"),
        ((0.1, -1, 10, 0.1), {}, "kl"),
        ((0.1, math.nan, 10, 0.1), {}, "kl"),
        ((0.1, 1, 0, 0.1), {}, "num_examples"),
        ((0.1, 1, True, 0.1), {}, "num_examples"),
        ((0.1, 1, 10, 0.0), {}, "delta"),
        ((0.1, 1, 10, 1.0), {}, "delta"),
        ((0.1, 1, 10, 5), {}, "delta"),
        ((0.1, 1, 10, None), {}, "delta"),
        ((0.1, 1, 10, 0.1), {"kind": "catoni"}, "kind"),
        ((0.1, 1, 10, 0.1), {"kind": "linear"}, "beta"),
        ((0.1, 1, 10, 0.1), {"kind": "linear", "beta": 0.5}, "beta"),
        ((0.1, 1, 10, 0.1), {"kind": "linear", "beta": math.inf}, "beta"),
        ((0.1, 1, math.inf, 0.1), {}, "num_examples"),
        ((0.1, 1, 10, 1e-320), {}, "delta"),
        ((0.1, 1, 10, 0.1), {"beta": 2.0}, "beta"),
    ],
)
def test_numbers_out_of_range_are_refused_in_a_sentence(arguments, options, name):
    of_another_kind = any(a is None or isinstance(a, str | bool) for a in arguments)
    error = TypeError if of_another_kind or arguments[2] == math.inf else ValueError
    with pytest.raises(error, match=f"`{name}` [^\n]* Received: "):
        bound(*arguments, **options)


@pytest.mark.parametrize("arguments", [(2.0, 10, 0.1), (0.1, 0, 0.1), (0.1, 10, 0.0)])
def test_so_are_those_of_the_monte_carlo(arguments):
    with pytest.raises(ValueError, match=r"`(mean|num_trials|delta)` [^\n]* Received: "):
        monte_carlo_bound(*arguments)
