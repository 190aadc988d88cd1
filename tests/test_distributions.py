"""Values and gradients of every function and law against quadrature or TFP; noise by its law."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import integrate, stats

from keras_infobottleneck import distributions

tfd = tfp.distributions

# Quadrature asked for twelve digits says so where rounding leaves eleven.
pytestmark = pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")

LOW, HIGH = 1e-6, 1e2
LOG_LOW, LOG_HIGH = math.log(LOW), math.log(HIGH)
# Inside the support, at its edges, outside; from points to noise much wider than the support.
TRUNCATED = [
    (0.0, 1e-8),
    (0.0, 0.1),
    (-3.0, 1.0),
    (4.6, 0.5),
    (-13.8, 1.0),
    (-13.8, 1e-3),
    (4.7, 0.02),
    (-20.0, 1.0),
    (0.0, 30.0),
    (0.0, 1e4),
]
EXTREME_SCALES = [0.001, 0.351, 0.701, 1e-8, 1e4]


def values_and_gradients(function, *arguments, dtype=tf.float64):
    tensors = [tf.constant(argument, dtype) for argument in arguments]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    gradients = tape.gradient(value, tensors, unconnected_gradients="zero")
    return value.numpy(), [gradient.numpy() for gradient in gradients]


def central_differences(function, loc, scale):
    step = 1e-4 * scale
    return [
        (function(loc + step, scale) - function(loc - step, scale)) / (2 * step),
        (function(loc, scale + step) - function(loc, scale - step)) / (2 * step),
    ]


def truncated_expectation(integrand, loc, scale):
    """E integrand(t, p(t)) over the standardised truncated normal, by quadrature."""
    lower, upper = (LOG_LOW - loc) / scale, (LOG_HIGH - loc) / scale
    mode = min(max(0.0, lower), upper)
    ends = max(lower, mode - 12.0), min(upper, mode + 12.0)
    points = [t for t in (mode - 5.0, mode - 1.0, mode + 1.0, mode + 5.0) if ends[0] < t < ends[1]]
    if mode != 0.0:  # a tail, which is exponential
        decay = 1.0 / abs(mode)
        signed = decay if mode == lower else -decay
        points += [mode + k * signed for k in (1, 5, 20) if ends[0] < mode + k * signed < ends[1]]

    def quad(function):
        options = {"epsabs": 0.0, "epsrel": 1e-12, "limit": 500, "points": points or None}
        return integrate.quad(function, *ends, **options)[0]

    def density(t):
        return math.exp(-0.5 * (t * t - mode * mode))

    total = quad(density)
    return quad(lambda t: density(t) / total * integrand(t, density(t) / total))


def truncated_kl(loc, scale):
    width = (LOG_HIGH - LOG_LOW) / scale
    return truncated_expectation(lambda t, p: math.log(max(p, 1e-300) * width), loc, scale)


def truncated_mean(loc, scale):
    return truncated_expectation(lambda t, p: math.exp(loc + scale * t), loc, scale)


def truncated_variance(loc, scale):
    mean = truncated_mean(loc, scale)
    return truncated_expectation(lambda t, p: (math.exp(loc + scale * t) - mean) ** 2, loc, scale)


class TestNoise:
    def test_standard_normal_follows_the_normal_law(self):
        noise = distributions.standard_normal((200_000,), [1, 2])
        assert noise.dtype == tf.float32
        assert stats.kstest(noise, "norm").pvalue > 0.01

    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_noise_is_a_function_of_its_seed(self, jit_compile):
        @tf.function(jit_compile=jit_compile)
        def draw(seed):
            shape = tf.constant([100, 200])
            normal = distributions.standard_normal(tf.ensure_shape(shape, [2]), seed)
            return normal, distributions.random_signs((100, 200), seed)

        first, again, other = (draw(tf.constant([3, n])) for n in (0, 0, 1))
        for kind in range(2):
            np.testing.assert_array_equal(first[kind], again[kind])
            correlation = np.corrcoef(np.ravel(first[kind]), np.ravel(other[kind]))[0, 1]
            assert abs(correlation) < 4.0 / math.sqrt(20_000)
        assert stats.kstest(np.ravel(first[0]), "norm").pvalue > 0.01

    def test_the_extreme_integers_give_finite_noise(self, monkeypatch):
        lowest, highest = -(2**31), 2**31 - 1
        integers = [lowest, lowest + 1, lowest + 64, -1, 0, highest]
        bits = tf.constant([integers, integers[::-1]], tf.int32)
        monkeypatch.setattr(distributions, "_random_bits", lambda shape, seed: bits)
        for jit_compile in (False, True):
            draw = tf.function(
                lambda: distributions.standard_normal((12,), [0, 0]), jit_compile=jit_compile
            )
            noise = draw().numpy()
            assert np.all(np.isfinite(noise))
            assert 5.9 < np.abs(noise).max() < 6.1

    def test_noise_uses_the_generator_that_xla_compiles_well(self):
        draw = tf.function(lambda seed: distributions.standard_normal((4,), seed))
        graph = draw.get_concrete_function(tf.TensorSpec([2], tf.int32)).graph
        operation = next(op for op in graph.get_operations() if "RandomUniform" in op.type)
        algorithm = tf.get_static_value(operation.inputs[3])
        assert algorithm == tf.random.Algorithm.PHILOX.value

    def test_keras_seeds_are_taken_as_they_come(self):
        generator = keras.random.SeedGenerator(7)
        first = distributions.standard_normal((3,), generator.next())
        assert not np.array_equal(first, distributions.standard_normal((3,), generator.next()))

    def test_signs_are_plus_or_minus_one_with_equal_probability(self):
        signs = distributions.random_signs((100_000,), [5, 6]).numpy()
        assert set(np.unique(signs)) == {-1.0, 1.0}
        assert abs(signs.mean()) < 4.0 / math.sqrt(100_000)


class TestTruncatedNormal:
    @pytest.mark.parametrize(
        ("loc", "scale"), [(0.0, 1.0), (4.6, 0.5), (-13.8, 1.0), (6.6, 1.0), (-16.0, 0.5)]
    )
    def test_samples_follow_the_truncated_law(self, loc, scale):
        noise = distributions.standard_normal((50_000,), [8, 9])
        draws = distributions.truncated_normal(noise, loc, scale, LOG_LOW, LOG_HIGH)
        law = stats.truncnorm((LOG_LOW - loc) / scale, (LOG_HIGH - loc) / scale, loc, scale)
        assert stats.kstest(draws, law.cdf).pvalue > 0.01

    @pytest.mark.parametrize(("loc", "scale"), [(4.6, 0.5), (-13.8, 1.0), (0.0, 3.0), (0.0, 10.0)])
    def test_it_is_the_quantile_function_with_its_gradients(self, loc, scale):
        noise = np.linspace(-4.0, 4.0, 9)

        def quantiles(loc, scale):
            law = stats.truncnorm((LOG_LOW - loc) / scale, (LOG_HIGH - loc) / scale, loc, scale)
            return law.ppf(stats.norm.cdf(noise))

        def draws(loc, scale):
            fill = tf.ones(9, loc.dtype)
            arguments = fill * loc, fill * scale, LOG_LOW, LOG_HIGH
            return distributions.truncated_normal(tf.cast(noise, loc.dtype), *arguments)

        value, gradients = values_and_gradients(draws, loc, scale)
        np.testing.assert_allclose(value, quantiles(loc, scale), rtol=1e-9, atol=1e-9)
        step = 1e-4 * scale
        by_loc = (quantiles(loc + step, scale) - quantiles(loc - step, scale)).sum() / (2 * step)
        by_scale = (quantiles(loc, scale + step) - quantiles(loc, scale - step)).sum() / (2 * step)
        np.testing.assert_allclose(gradients, [by_loc, by_scale], rtol=1e-6, atol=1e-6)
        single, _ = values_and_gradients(draws, loc, scale, dtype=tf.float32)
        np.testing.assert_allclose(single, value, atol=1e-5)

    def test_far_bounds_change_nothing_in_either_tail(self):
        noise = tf.constant([-6.0, -3.0, -0.5, 0.0, 0.5, 3.0, 6.0])
        for scale in (1e-8, 0.1, 0.5):
            draws = distributions.truncated_normal(noise, 0.0, scale, LOG_LOW, LOG_HIGH)
            np.testing.assert_allclose(draws, scale * noise, rtol=1e-6)

    @pytest.mark.parametrize("scale", EXTREME_SCALES)
    @pytest.mark.parametrize("loc", [LOG_LOW, 0.0, LOG_HIGH])
    def test_extreme_scales_stay_inside_with_finite_gradients(self, loc, scale):
        noise = tf.constant([-8.0, -1.0, 0.0, 1.0, 8.0])
        draws, gradients = values_and_gradients(
            lambda loc, scale: distributions.truncated_normal(
                noise, loc * tf.ones(5), scale, LOG_LOW, LOG_HIGH
            ),
            loc,
            scale,
            dtype=tf.float32,
        )
        assert np.all((draws >= np.float32(LOG_LOW)) & (draws <= np.float32(LOG_HIGH)))
        assert np.all(np.isfinite(gradients))


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
