"""Moments, divergences and laws against quadrature or TFP, values and gradients."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from keras_infobottleneck import distributions
from tests.support.reference_distributions import (
    EXTREME_SCALES,
    HIGH,
    LOG_HIGH,
    LOG_LOW,
    LOW,
    TRUNCATED,
    central_differences,
    truncated_kl,
    truncated_mean,
    truncated_variance,
    values_and_gradients,
)

tfd = tfp.distributions
# Quadrature asked for twelve digits says so where rounding leaves eleven.
pytestmark = pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")


class TestTruncatedMoments:
    @pytest.mark.parametrize(("loc", "scale"), TRUNCATED)
    def test_they_equal_quadrature(self, loc, scale):
        moments = distributions.truncated_log_normal_mean_and_variance
        mean, variance = moments(tf.constant(loc), tf.constant(scale), LOW, HIGH)
        loc, scale = float(np.float32(loc)), float(np.float32(scale))
        np.testing.assert_allclose(mean, truncated_mean(loc, scale), rtol=1e-6)
        np.testing.assert_allclose(variance, truncated_variance(loc, scale), rtol=1e-6)

    @pytest.mark.parametrize(("loc", "scale"), [(0.0, 0.1), (-3.0, 1.0), (4.6, 0.5), (0.0, 30.0)])
    def test_their_gradients_equal_those_of_quadrature(self, loc, scale):
        for index, reference in enumerate((truncated_mean, truncated_variance)):
            _, gradients = values_and_gradients(
                lambda loc, scale, index=index: (
                    distributions.truncated_log_normal_mean_and_variance(loc, scale, LOW, HIGH)[
                        index
                    ]
                ),
                loc,
                scale,
            )
            expected = central_differences(reference, loc, scale)
            np.testing.assert_allclose(gradients, expected, rtol=1e-6, atol=1e-8)


class TestDivergences:
    @pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
    @pytest.mark.parametrize("scale", EXTREME_SCALES)
    def test_normal_to_normal_equals_tfp_with_gradients(self, scale, dtype):
        def theirs(loc, log_scale, prior_loc, prior_log_scale):
            first = tfd.Normal(loc, tf.exp(log_scale))
            return tfd.kl_divergence(first, tfd.Normal(prior_loc, tf.exp(prior_log_scale)))

        # Distances of a few scales, where the terms are of one size and nothing hides.
        arguments = (0.3 * scale, math.log(scale), -0.5 * scale, math.log(1.7 * scale))
        arguments = [float(np.float32(argument)) for argument in arguments]
        ours, gradients = values_and_gradients(
            distributions.kl_normal_normal, *arguments, dtype=dtype
        )
        value, expected = values_and_gradients(theirs, *arguments)
        np.testing.assert_allclose(ours, value, rtol=1e-6)
        np.testing.assert_allclose(gradients, expected, rtol=1e-6)

    @pytest.mark.parametrize("scale", EXTREME_SCALES)
    def test_log_normal_to_log_normal_equals_tfp_with_gradients(self, scale):
        def theirs(loc, scale, prior_loc, prior_scale):
            return tfd.kl_divergence(
                tfd.LogNormal(loc, scale), tfd.LogNormal(prior_loc, prior_scale)
            )

        arguments = (math.log(1.5), scale, -0.2, 1.3)
        ours, gradients = values_and_gradients(
            distributions.kl_log_normal_log_normal, *arguments, dtype=tf.float32
        )
        value, expected = values_and_gradients(theirs, *arguments)
        np.testing.assert_allclose(ours, value, rtol=1e-6)
        np.testing.assert_allclose(gradients, expected, rtol=1e-6)

    def test_log_normal_to_log_normal_is_the_published_formula(self):
        kl = distributions.kl_log_normal_log_normal(math.log(1.5), 0.3, 0.0, 1.0)
        by_hand = (0.3**2 + math.log(1.5) ** 2) / 2 - math.log(0.3) - 0.5
        np.testing.assert_allclose(kl, by_hand, rtol=1e-6)
        np.testing.assert_allclose(kl, 0.831174, atol=1e-6)

    def test_log_normal_to_log_normal_equals_its_monte_carlo_estimate(self):
        first, second = stats.norm(math.log(1.5), 0.3), stats.norm(0.0, 1.0)
        draws = first.rvs(100_000, random_state=0)
        ratios = first.logpdf(draws) - second.logpdf(draws)
        kl = distributions.kl_log_normal_log_normal(math.log(1.5), 0.3, 0.0, 1.0)
        assert abs(kl - ratios.mean()) < 4.0 * ratios.std() / math.sqrt(100_000)

    @pytest.mark.parametrize("scale", EXTREME_SCALES)
    def test_log_normal_to_log_uniform_is_the_logarithm_of_a_ratio(self, scale):
        kl, gradients = values_and_gradients(
            distributions.kl_log_normal_log_uniform, scale, 0.701, dtype=tf.float32
        )
        np.testing.assert_allclose(kl, math.log(0.701 / scale), rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(gradients, [-1.0 / scale, 1.0 / 0.701], rtol=1e-6)

    @pytest.mark.parametrize("scale", [0.001, 0.351, 0.701])
    def test_log_normal_to_log_uniform_equals_quadrature_of_its_density(self, scale):
        prior = distributions.LogUniform(tf.constant(0.701, tf.float64))
        posterior = tfd.LogNormal(tf.constant(0.4, tf.float64), scale)

        def integrand(t):
            z = tf.exp(0.4 + scale * tf.constant(t, tf.float64))
            return stats.norm.pdf(t) * float(posterior.log_prob(z) - prior.log_prob(z))

        nodes, weights = np.polynomial.legendre.leggauss(120)
        quadrature = 9.0 * sum(w * integrand(9.0 * t) for t, w in zip(nodes, weights, strict=True))
        np.testing.assert_allclose(
            tfd.kl_divergence(posterior, prior), quadrature, rtol=1e-6, atol=1e-9
        )

    @pytest.mark.parametrize(("loc", "scale"), TRUNCATED)
    def test_truncated_equals_quadrature_in_float32(self, loc, scale):
        single = tf.constant(loc), tf.constant(scale)
        kl = distributions.kl_truncated_log_normal_log_uniform(*single, LOW, HIGH)
        assert kl.dtype == tf.float32
        expected = truncated_kl(float(single[0]), float(single[1]))
        np.testing.assert_allclose(kl, expected, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize(("loc", "scale"), TRUNCATED)
    def test_truncated_has_the_gradients_of_quadrature(self, loc, scale):
        _, gradients = values_and_gradients(
            lambda loc, scale: distributions.kl_truncated_log_normal_log_uniform(
                loc, scale, LOW, HIGH
            ),
            loc,
            scale,
        )
        expected = central_differences(truncated_kl, loc, scale)
        np.testing.assert_allclose(gradients, expected, rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize("loc", [LOG_LOW, 0.0, LOG_HIGH])
    @pytest.mark.parametrize("scale", EXTREME_SCALES)
    def test_truncated_is_finite_with_finite_gradients_in_float32(self, loc, scale):
        value, gradients = values_and_gradients(
            lambda loc, scale: distributions.kl_truncated_log_normal_log_uniform(
                loc, scale, LOW, HIGH
            ),
            loc,
            scale,
            dtype=tf.float32,
        )
        assert np.isfinite(value)
        assert value > -1e-6
        assert np.all(np.isfinite(gradients))


class TestLaws:
    def test_log_uniform_density_is_a_constant_over_z(self):
        law = distributions.LogUniform(0.7)
        z = tf.constant([1e-3, 1.0, 50.0])
        constant = -0.5 * math.log(2 * math.pi * math.e * 0.7**2)
        np.testing.assert_allclose(law.log_prob(z) + tf.math.log(z), [constant] * 3, rtol=1e-6)
        assert law.batch_shape == ()
        assert law.event_shape == ()
        assert law.copy(max_scale=0.5).max_scale == 0.5

    def test_log_uniform_cannot_be_sampled(self):
        with pytest.raises(NotImplementedError):
            distributions.LogUniform(0.7).sample(seed=[0, 0])

    def test_registered_divergence_to_log_uniform_broadcasts_and_is_zero_at_the_cap(self):
        posterior = tfd.LogNormal(tf.constant([[0.0], [3.0]]), tf.constant([0.7, 0.07]))
        kl = tfd.kl_divergence(posterior, distributions.LogUniform(0.7))
        np.testing.assert_allclose(kl, [[0.0, math.log(10.0)]] * 2, rtol=1e-6, atol=1e-7)

    def test_truncated_laws_agree_with_scipy(self):
        loc, scale = tf.constant([0.0, 4.0, -13.0]), tf.constant([0.1, 1.0, 2.0])
        law = distributions.TruncatedLogNormal(loc, scale, LOW, HIGH)
        z = tf.constant([1.05, 60.0, 3e-6])
        bounds = (LOG_LOW - loc) / scale, (LOG_HIGH - loc) / scale
        log_z = stats.truncnorm(*bounds, loc, scale)
        expected = log_z.logpdf(np.log(z)) - np.log(z)
        np.testing.assert_allclose(law.log_prob(z), expected, rtol=1e-5)
        np.testing.assert_array_equal(law.loc, loc)
        np.testing.assert_array_equal(law.scale, scale)
        prior = distributions.TruncatedLogUniform(LOW, HIGH)
        np.testing.assert_allclose(
            prior.log_prob(z), stats.loguniform(LOW, HIGH).logpdf(z), rtol=1e-6
        )

    def test_truncated_law_knows_its_moments_and_draws_by_them(self):
        law = distributions.TruncatedLogNormal(4.0, 1.0, LOW, HIGH)
        np.testing.assert_allclose(law.mean(), truncated_mean(4.0, 1.0), rtol=1e-6)
        np.testing.assert_allclose(law.variance(), truncated_variance(4.0, 1.0), rtol=1e-6)
        draws = law.sample(20_000, seed=[1, 2]).numpy()
        error = draws.std() / math.sqrt(draws.size)
        assert abs(draws.mean() - law.mean()) < 4.0 * error
        assert draws.max() <= HIGH * (1 + 1e-6)

    def test_registered_truncated_divergence_is_the_function(self):
        loc, scale = tf.constant([0.0, 4.0]), tf.constant([0.1, 1.0])
        kl = tfd.kl_divergence(
            distributions.TruncatedLogNormal(loc, scale, LOW, HIGH),
            distributions.TruncatedLogUniform(LOW, HIGH),
        )
        expected = distributions.kl_truncated_log_normal_log_uniform(loc, scale, LOW, HIGH)
        np.testing.assert_array_equal(kl, expected)

    def test_different_supports_are_refused(self):
        with pytest.raises(ValueError, match=r"same interval.*Received: low="):
            tfd.kl_divergence(
                distributions.TruncatedLogNormal(0.0, 1.0, LOW, HIGH),
                distributions.TruncatedLogUniform(LOW, 2 * HIGH),
            )
