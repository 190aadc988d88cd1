"""Noise and signs by their law, and the draws that noise is mapped to."""

import math
import runpy

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_infobottleneck import distributions
from keras_infobottleneck.distributions import normal_numbers
from tests.support.reference_distributions import (
    EXTREME_SCALES,
    LOG_HIGH,
    LOG_LOW,
    values_and_gradients,
)

pytestmark = pytest.mark.quick

SEED = (7, 8)


def made_of_few(size):
    """Normal numbers from TensorFlow's own words of philox."""
    bits = tf.random.stateless_uniform(
        (2, (size + 1) // 2), SEED, None, None, tf.int32, alg="philox"
    )
    return normal_numbers.few_normals(bits, size)


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
        monkeypatch.setattr(distributions.noise, "_random_bits", lambda shape, seed: bits)
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

    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_many_numbers_are_those_that_are_made_of_few(self, jit_compile):
        shape = (2, normal_numbers.MANY // 2 + 2)
        assert normal_numbers.is_large(math.prod(shape))
        expected = tf.reshape(made_of_few(math.prod(shape)), shape)
        known = tf.function(
            lambda seed: distributions.standard_normal(shape, seed), jit_compile=jit_compile
        )
        np.testing.assert_allclose(known(tf.constant(SEED)), expected, rtol=1e-5, atol=1e-6)

        @tf.function(jit_compile=jit_compile, input_signature=[tf.TensorSpec([None, None])])
        def like(tensor):
            return distributions.standard_normal(tf.shape(tensor), tf.constant(SEED))

        np.testing.assert_allclose(like(expected), expected, rtol=1e-5, atol=1e-6)
        few = like(expected[:, :5])
        np.testing.assert_allclose(few, distributions.standard_normal((2, 5), SEED), atol=1e-6)

    def test_the_loop_takes_multiples_of_four_from_many_on_and_the_numbers_are_the_same(self):
        @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
        def draw(size):
            return distributions.standard_normal([size], SEED)

        many = normal_numbers.MANY
        sizes = [many - 1, many, many + 1, many + 2, many + 3, many + 4]
        assert [bool(normal_numbers.is_large(n)) for n in sizes] == [n % 4 == 0 for n in sizes]
        for size in sizes:
            expected = made_of_few(size)
            np.testing.assert_allclose(draw(tf.constant(size)), expected, rtol=1e-5, atol=1e-6)
        eager = distributions.standard_normal([sizes[-1]], SEED)
        np.testing.assert_allclose(eager, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("road", ["static", "dynamic"])
    def test_sequences_of_every_length_need_few_compilations(self, road, monkeypatch):
        compiled = set()

        def record(as_many, *_):
            compiled.add(as_many.shape[0])
            return tf.zeros([2, as_many.shape[0]], tf.float64)

        monkeypatch.setattr(normal_numbers, "_pairs_of_normals", record)
        excess = []
        sizes = range(2**20, 2**21, 2**13 + 4)
        for size in sizes:
            asked = size if road == "static" else tf.constant(size)
            assert normal_numbers.many_normals(asked, tf.constant(SEED)).shape == (size,)
            excess.append(4 * min(pairs for pairs in compiled if 4 * pairs >= size) / size)
        assert len(sizes) > 120
        assert len(compiled) <= normal_numbers.STEPS + 1
        assert max(excess) <= 1 + 1 / normal_numbers.STEPS

    @pytest.mark.parametrize(("order", "packs"), [("little", True), ("big", False)])
    def test_floats_are_packed_only_where_the_lower_half_comes_first(
        self, order, packs, monkeypatch
    ):
        monkeypatch.setattr("sys.byteorder", order)
        numbers = runpy.run_path(normal_numbers.__file__)
        assert numbers["is_large"](numbers["MANY"]) == packs

    @pytest.mark.parametrize("counter", [[0, 0], [2**64 - 2, 5], [2**40 + 7, 2**64 - 1]])
    def test_words_are_those_of_the_generator_also_where_its_counter_overflows(self, counter):
        key = tf.constant([0x0123456789ABCDEF], tf.uint64)
        counter = tf.constant(counter, tf.uint64)
        expected = tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=[24], key=key, counter=counter, alg=1, dtype=tf.int32
        )
        pairs = tf.range(12, dtype=tf.int64)
        words = normal_numbers._pair_of_words(tf.cast(pairs, tf.uint64), key, counter)
        np.testing.assert_array_equal(tf.reshape(tf.stack(words, 1), [-1]), expected)

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
