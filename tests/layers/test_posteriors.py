"""Laws over weights: moments, costs against TFP and quadrature, and their behaviour at extremes."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf

from keras_infobottleneck.layers.posteriors import (
    MIN_ENERGY,
    SUPPORT,
    GaussianPosterior,
    LogNormalPosterior,
    TruncatedLogNormalPosterior,
)

LAWS = {
    "gaussian": GaussianPosterior(),
    "log_normal": LogNormalPosterior(0.7),
    "truncated_log_normal": TruncatedLogNormalPosterior(0.7),
}
every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())

LOC = tf.constant([-2.0, -0.3, -1e-3, 0.02, 0.5, 3.0])
SPREAD = tf.constant([-2.0, -1.0, 0.0, -3.0, 0.5, 2.0])


@every_law
def test_draws_have_the_stated_moments(law):
    num_draws = 100_000
    noise = np.random.default_rng(1).standard_normal((num_draws, 6)).astype("float32")
    # Close to the edge of the support too, where truncation moves both moments.
    for loc in (LOC, tf.constant([1.1e-6, -1.5e-6, 2e-6, 95.0, -80.0, 99.0])):
        draws = law.sample(loc, SPREAD, noise).numpy().astype(float)
        mean, variance = (moment.numpy() for moment in law.mean_and_variance(loc, SPREAD))
        centred = draws - mean
        bound = scipy.stats.norm.isf(1e-4 / 48)  # two-sided, twelve means and twelve variances
        np.testing.assert_array_less(
            np.abs(centred.mean(0)), bound * centred.std(0) / math.sqrt(num_draws)
        )
        np.testing.assert_array_less(
            np.abs((centred**2).mean(0) - variance),
            bound * (centred**2).std(0) / math.sqrt(num_draws),
        )


@every_law
def test_cost_is_the_sum_of_the_divergences_of_the_distributions(law):
    distribution = law.distribution(LOC, SPREAD)
    prior = law.prior_distribution(LOC, SPREAD, None)
    expected = tf.reduce_sum(distribution.kl_divergence(prior))
    np.testing.assert_allclose(law.kl_divergence(LOC, SPREAD, None), expected, rtol=1e-5)


@pytest.mark.parametrize("prior", [(0.0, 0.3), (0.5, -2.0)])
def test_gaussian_cost_to_a_given_prior_is_tfps(prior):
    law = LAWS["gaussian"]
    prior = tuple(map(tf.constant, prior))
    divergence = law.distribution(LOC, SPREAD).kl_divergence(
        law.prior_distribution(LOC, SPREAD, prior)
    )
    np.testing.assert_allclose(
        law.kl_divergence(LOC, SPREAD, prior), tf.reduce_sum(divergence), rtol=1e-5
    )


@pytest.mark.parametrize("loc", [-50.0, -1e-6, 2e-6, 0.3, 99.0])
@pytest.mark.parametrize("spread", [-6.0, 0.0, 6.0])
def test_truncated_log_normal_cost_is_the_integral(loc, spread):
    law = LAWS["truncated_log_normal"]
    variance = 0.7 / (1 + math.exp(-spread))
    centre = math.log(abs(loc)) - variance / 2
    low, high = np.log(SUPPORT)
    normal = scipy.stats.truncnorm(
        (low - centre) / math.sqrt(variance),
        (high - centre) / math.sqrt(variance),
        centre,
        math.sqrt(variance),
    )
    width = 12 * math.sqrt(variance)
    integral, _ = scipy.integrate.quad(
        lambda t: normal.pdf(t) * (normal.logpdf(t) + math.log(high - low)),
        max(low, centre - width),
        min(high, centre + width),
        epsabs=1e-10,
    )
    cost = law.kl_divergence(tf.constant([loc]), tf.constant([spread]), None)
    np.testing.assert_allclose(cost, integral, rtol=1e-5)


@pytest.mark.parametrize("law", [LAWS["gaussian"], LAWS["truncated_log_normal"]])
def test_cost_is_the_mean_log_ratio_of_densities_at_draws(law):
    noise = np.random.default_rng(2).standard_normal((40_000, 6)).astype("float32")
    draws = law.sample(LOC, SPREAD, noise)
    if law is not LAWS["gaussian"]:
        draws = tf.abs(draws)
    posterior = law.distribution(LOC, SPREAD)
    prior = law.prior_distribution(LOC, SPREAD, None)
    ratios = tf.reduce_sum(posterior.log_prob(draws) - prior.log_prob(draws), axis=1).numpy()
    error = ratios.std() / math.sqrt(len(ratios))
    assert abs(ratios.mean() - law.kl_divergence(LOC, SPREAD, None)) < 4 * error


def test_empirical_bayes_cost_is_the_minimum_over_prior_scales():
    law = LAWS["gaussian"]
    grid = tf.linspace(-3.0, 3.0, 601)
    costs = [float(law.kl_divergence(LOC, SPREAD, (tf.zeros([]), s))) for s in grid]
    best = float(law.kl_divergence(LOC, SPREAD, None))
    assert best <= min(costs) + 1e-5
    # The curvature at the optimum is twice the number of weights, a grid point 0.005 off at most.
    assert min(costs) - best < 6 * 0.005**2 + 1e-5


def first_and_second_derivatives(function):
    """Of a function of means and spreads, by both of them, as one list."""

    def derivatives(loc, spread):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch([loc, spread])
            with tf.GradientTape() as tape:
                tape.watch([loc, spread])
                value = function(loc, spread)
            first = tape.gradient(value, [loc, spread])
        second = [
            outer.gradient(gradient, variable, unconnected_gradients="zero")
            for gradient in first
            for variable in (loc, spread)
        ]
        return [value, *first, *second]

    return derivatives


def profiled_objective(loc, spread):
    """The Gaussian cost where the prior variance is the mean square of the weights."""
    energy = tf.reduce_mean(tf.exp(2 * spread) + tf.square(loc))
    return 3.0 * tf.math.log(energy) - tf.reduce_sum(spread)


def cost_to_the_smallest_prior(loc, spread):
    """The Gaussian cost where the weights are so small that the prior variance is the least."""
    energy = tf.reduce_mean(tf.exp(2 * spread) + tf.square(loc))
    fit = 3.0 * (energy / MIN_ENERGY - 1.0)
    return fit + 3.0 * math.log(MIN_ENERGY) - tf.reduce_sum(spread)


@pytest.mark.parametrize("wrapped", [lambda f: f, tf.function], ids=["eager", "graph"])
@pytest.mark.parametrize(
    ("expected", "loc", "spread"),
    [
        (profiled_objective, LOC, SPREAD),
        (cost_to_the_smallest_prior, 1e-19 * LOC, SPREAD - 45.0),
    ],
    ids=["fitted", "smallest"],
)
def test_empirical_bayes_derivatives_are_those_of_the_profiled_objective(
    expected, loc, spread, wrapped
):
    def cost(loc, spread):
        return LAWS["gaussian"].kl_divergence(loc, spread, None)

    results = wrapped(first_and_second_derivatives(cost))(loc, spread)
    for result, exact in zip(
        results, first_and_second_derivatives(expected)(loc, spread), strict=True
    ):
        np.testing.assert_allclose(result, exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("spread", [-3.2101, -0.7, 0.1])
def test_a_large_collapsed_posterior_costs_nothing(spread):
    law = LAWS["gaussian"]
    loc, spread = tf.zeros([300_000]), tf.fill([300_000], spread)
    rounding = 1e-6 * 300_000  # per weight; sums that cancel afterwards are off by five times that
    assert abs(law.kl_divergence(loc, spread, None)) < rounding
    assert abs(law.kl_divergence(loc, spread, (tf.zeros([]), spread[0]))) < rounding


def test_log_normal_cost_vanishes_at_the_cap_and_counts_the_variance_below_it():
    law = LAWS["log_normal"]
    assert law.kl_divergence(LOC, tf.fill([6], 40.0), None) < 1e-6
    variance = 0.7 * tf.sigmoid(SPREAD)
    expected = 0.5 * tf.reduce_sum(tf.math.log(0.7 / variance))
    np.testing.assert_allclose(law.kl_divergence(LOC, SPREAD, None), expected, rtol=1e-5)


@every_law
@pytest.mark.parametrize("spread", [-200.0, -90.0, -40.0, 0.0, 40.0, 200.0])
@pytest.mark.parametrize("loc", [0.0, 1e-30, -1e-7, 1.0, 1e3])
def test_values_and_gradients_are_finite_at_extremes(law, loc, spread):
    if law is LAWS["gaussian"]:
        spread = min(spread, 40.0)  # a scale of e^40; its square still fits in float32
    loc, spread = tf.constant([loc, loc]), tf.constant([spread, spread])
    noise = tf.constant([-2.0, 0.5])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([loc, spread])
        results = [
            law.sample(loc, spread, noise),
            *law.mean_and_variance(loc, spread),
            law.kl_divergence(loc, spread, None),
        ]
    for result in results:
        assert np.isfinite(result).all()
        for variable in (loc, spread):
            gradient = tape.gradient(result, variable)
            assert gradient is None or np.isfinite(gradient).all()


@every_law
def test_a_mean_of_zero_can_learn(law):
    loc, spread = tf.constant([0.0]), tf.constant([0.0])
    with tf.GradientTape() as tape:
        tape.watch(loc)
        weight = law.sample(loc, spread, tf.constant([0.1]))
    assert abs(tape.gradient(weight, loc)) > 0.5


def test_initial_spread_is_a_fraction_of_the_fan_in_scale_or_what_is_asked():
    assert math.isclose(
        math.exp(LAWS["gaussian"].initial_spread((3, 3, 4, 8), None)), 0.1 / math.sqrt(36)
    )
    assert math.isclose(math.exp(LAWS["gaussian"].initial_spread((5, 2), 0.25)), 0.25)
    spread = LAWS["log_normal"].initial_spread((5, 2), 0.25)
    assert math.isclose(0.7 / (1 + math.exp(-spread)), 0.25**2)
