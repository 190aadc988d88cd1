"""Information Dropout: its formulas, its noise, when it draws and when it costs."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from keras_infobottleneck import distributions
from keras_infobottleneck.layers import InformationDropout, VariationalWeights
from tests.support.dropout_layers import constant_layer, data

layers = keras.layers
tfd = tfp.distributions


def logit_of(alpha, max_alpha=0.7):
    fraction = (alpha - 0.001) / max_alpha
    return math.log(fraction / (1.0 - fraction))


class TestFormulas:
    def test_log_uniform_cost_has_max_alpha_once(self):
        # The published scripts: alpha = 0.001 + max_alpha * sigmoid(a), KL = -log(alpha / cap).
        for max_alpha in (0.7, 1.0, 0.3):
            layer = InformationDropout(
                constant_layer(3, 1.0, "relu"),
                1.0,
                max_alpha=max_alpha,
                alpha_layer=constant_layer(3, -0.4),
            )
            alpha = 0.001 + max_alpha / (1.0 + math.exp(0.4))
            expected = -math.log(alpha / (max_alpha + 0.001))
            np.testing.assert_allclose(
                layer.information(data(2, 4)), np.full((2, 3), expected), rtol=1e-6
            )

    def test_cost_at_the_cap_is_zero_and_at_the_floor_is_finite(self):
        cap, floor = (
            InformationDropout(layers.Dense(3, "relu"), 1.0, alpha_layer=constant_layer(3, logit))
            for logit in (100.0, -1e4)
        )
        x = data(2, 4)
        np.testing.assert_allclose(cap.information(x), np.zeros((2, 3)), atol=1e-6)
        np.testing.assert_allclose(
            floor.information(x), np.full((2, 3), math.log(0.701 / 0.001)), rtol=1e-6
        )

    def test_units_at_zero_cost_the_same(self):
        layer = InformationDropout(
            constant_layer(3, -1.0, "relu"), 1.0, alpha_layer=constant_layer(3, logit_of(0.1))
        )
        x = data(2, 4)
        np.testing.assert_array_equal(layer(x, training=True), np.zeros((2, 3)))
        np.testing.assert_allclose(layer.information(x), np.full((2, 3), math.log(7.01)), rtol=1e-5)

    @pytest.mark.parametrize(
        ("activation", "pre_activation"),
        [
            ("softplus", math.log(math.expm1(1.5))),
            ("exponential", math.log(1.5)),
        ],
    )
    def test_log_normal_cost_is_the_published_number(self, activation, pre_activation):
        layer = InformationDropout(
            constant_layer(2, pre_activation, activation),
            1.0,
            prior="log_normal",
            alpha_layer=constant_layer(2, logit_of(0.3)),
        )
        np.testing.assert_allclose(
            layer.information(data(3, 4)), np.full((3, 2), 0.831174), atol=1e-6
        )

    def test_log_normal_cost_is_the_divergence_from_the_learned_prior(self):
        layer = InformationDropout(
            constant_layer(2, 0.2, "sigmoid"),
            1.0,
            prior="log_normal",
            alpha_layer=constant_layer(2, logit_of(0.05)),
        )
        layer.build((None, 4))
        layer.prior_loc.assign(-0.4)
        layer.prior_log_scale.assign(math.log(0.6))
        expected = tfd.kl_divergence(
            tfd.LogNormal(-math.log1p(math.exp(-0.2)), 0.05), tfd.LogNormal(-0.4, 0.6)
        )
        np.testing.assert_allclose(layer.information(data(1, 4)), [[expected] * 2], rtol=1e-5)

    def test_logarithm_is_floored_as_published_but_for_the_exponential(self):
        costs = {}
        for activation, value in (("softplus", -30.0), ("exponential", -30.0)):
            layer = InformationDropout(
                constant_layer(1, value, activation),
                1.0,
                prior="log_normal",
                alpha_layer=constant_layer(1, logit_of(0.3)),
            )
            costs[activation] = layer.information(data(1, 4)).numpy().item()
        constant = 0.5 * 0.3**2 - math.log(0.3) - 0.5
        np.testing.assert_allclose(costs["softplus"], constant + math.log(1e-4) ** 2 / 2, rtol=1e-5)
        np.testing.assert_allclose(costs["exponential"], constant + 450.0, rtol=1e-5)

    def test_information_equals_its_monte_carlo_estimate(self):
        x = data(1, 4)
        layer = InformationDropout(layers.Dense(3, "softplus"), 1.0, prior="log_normal")
        nats = layer.information(x).numpy().sum()
        log_f = np.log(layer(x))
        z = layer(np.repeat(x, 40_000, axis=0), training=True).numpy()
        alpha = layer._alpha(x, None).numpy()
        ratio = stats.norm.logpdf(np.log(z), log_f, alpha) - stats.norm.logpdf(np.log(z))
        ratio = ratio.sum(1)
        assert abs(nats - ratio.mean()) < 4.0 * ratio.std() / math.sqrt(ratio.size)


class TestNoise:
    def test_output_is_activation_times_exponential_of_scaled_noise(self):
        layer = InformationDropout(layers.Dense(3, "relu"), 1.0, seed=5)
        x = data(4, 6)
        f, alpha = layer(x).numpy(), layer._alpha(x, None).numpy()
        seed = layer.seed_generator.state.numpy()
        noise = distributions.standard_normal((4, 3), seed).numpy()
        np.testing.assert_allclose(layer(x, training=True), f * np.exp(alpha * noise), rtol=1e-6)

    @pytest.mark.parametrize("alpha", [0.1, 0.6])
    def test_constant_alpha_gives_log_normal_moments_and_a_constant_cost(self, alpha):
        layer = InformationDropout(
            constant_layer(1, 2.0, "relu"), 1.0, alpha_layer=constant_layer(1, logit_of(alpha))
        )
        count = 200_000
        x = data(count, 1)
        z = layer(x, training=True).numpy().astype("float64")
        mean = 2.0 * math.exp(alpha**2 / 2)
        variance = 4.0 * math.exp(alpha**2) * math.expm1(alpha**2)
        squares = (z - mean) ** 2
        assert abs(z.mean() - mean) < 4.0 * z.std() / math.sqrt(count)
        assert abs(squares.mean() - variance) < 4.0 * squares.std() / math.sqrt(count)
        assert stats.kstest(np.log(z[:20_000, 0] / 2.0) / alpha, "norm").pvalue > 0.01
        nats = layer.information(x[:100]).numpy()
        np.testing.assert_allclose(nats, np.full((100, 1), math.log(0.701 / alpha)), rtol=1e-5)

    def test_constant_alpha_is_gaussian_dropout_up_to_alpha_squared(self):
        # GaussianDropout of standard deviation alpha, alpha^2 = rate / (1 - rate).
        alpha, count = 0.1, 400_000
        gaussian = layers.GaussianDropout(alpha**2 / (1.0 + alpha**2))
        ours = InformationDropout(
            constant_layer(1, 1.0, "relu"), 1.0, alpha_layer=constant_layer(1, logit_of(alpha))
        )
        theirs = gaussian(np.ones((count, 1), "float32"), training=True).numpy()
        z = ours(np.ones((count, 1), "float32"), training=True).numpy()
        sampling = 4.0 * math.sqrt(2.0) * alpha / math.sqrt(count)
        assert abs(z.mean() - theirs.mean()) < alpha**2 / 2 + alpha**4 + sampling
        relative = abs(z.var() / theirs.var() - 1.0)
        assert relative < 1.5 * alpha**2 + 3 * alpha**4 + 4.0 * math.sqrt(4.0 / count)

    def test_examples_and_units_draw_independently(self):
        layer = InformationDropout(
            constant_layer(2, 1.0, "relu"), 1.0, alpha_layer=constant_layer(2, 0.0)
        )
        draws = np.log(layer(data(20_000, 1), training=True)).reshape(10_000, 4)
        correlations = np.corrcoef(draws.T)
        assert np.abs(correlations - np.eye(4)).max() < 4.5 / math.sqrt(10_000)


class TestGaussianEncoder:
    def test_exponential_activation_is_the_variational_autoencoder_in_log_z(self):
        x = tf.constant(data(8, 5))
        encoder = InformationDropout(
            layers.Dense(3, "exponential"), 1.0, prior="log_normal", seed=2
        )
        decoder = layers.Dense(5)
        decoder.build((None, 3))
        encoder.build((None, 5))
        encoder.prior_loc.assign(0.3)
        encoder.prior_log_scale.assign(-0.2)
        variables = [*encoder.trainable_variables, *decoder.trainable_variables]
        values = [variable.value for variable in variables]
        noise = distributions.standard_normal((8, 3), encoder.seed_generator.state)

        with tf.GradientTape() as tape:
            error = tf.reduce_mean(tf.reduce_sum((decoder(encoder(x, training=True)) - x) ** 2, 1))
            loss = error + sum(encoder.losses)
        gradients = tape.gradient(loss, values)

        with tf.GradientTape() as tape:
            loc = x @ encoder.layer.kernel.value + encoder.layer.bias.value
            a = x @ encoder.alpha_layer.kernel.value + encoder.alpha_layer.bias.value
            scale = 0.001 + 0.7 * tf.sigmoid(a)
            posterior = tfd.Normal(loc, scale)
            prior = tfd.Normal(encoder.prior_loc.value, tf.exp(encoder.prior_log_scale.value))
            kl = tf.reduce_sum(tfd.kl_divergence(posterior, prior), 1)
            reconstruction = decoder(tf.exp(loc + scale * noise))
            negative_elbo = tf.reduce_mean(tf.reduce_sum((reconstruction - x) ** 2, 1) + kl)
        expected = tape.gradient(negative_elbo, values)

        np.testing.assert_allclose(loss, negative_elbo, rtol=1e-6)
        assert len(values) == 8
        for gradient, reference in zip(gradients, expected, strict=True):
            largest = np.abs(reference).max()
            np.testing.assert_allclose(gradient, reference, rtol=1e-6, atol=1e-6 * largest)


class TestGradients:
    @pytest.mark.parametrize(
        ("activation", "prior"),
        [("relu", "log_uniform"), ("softplus", "log_normal"), ("exponential", "log_normal")],
    )
    def test_gradients_are_finite_for_zero_and_for_huge_inputs(self, activation, prior):
        for wrapped in (
            layers.Dense(4, activation),
            VariationalWeights(layers.Dense(4, activation)),
        ):
            layer = InformationDropout(wrapped, 1.0, prior=prior)
            for scale in (0.0, 30.0):
                with tf.GradientTape() as tape:
                    z = layer(scale * tf.ones((2, 3)), training=True)
                    loss = tf.reduce_sum(z) + layer.losses[0]
                gradients = tape.gradient(loss, [v.value for v in layer.trainable_variables])
                assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
