"""Local, flipout and sample draw outputs of the same mean and variance, and differ in correlation.

One call draws many independent copies: every output channel of a kernel is repeated, and repeated
channels have weights of their own. A hundred calls of a thousand copies give 10^5 draws.
"""

import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from keras import layers

from keras_infobottleneck import distributions
from keras_infobottleneck.layers import VariationalWeights

COPIES, CALLS = 1000, 100
ESTIMATORS = ("local", "flipout", "sample")

# Layer with its output channels times `copies`, input shape, axis of the kernel that is repeated.
CASES = {
    "dense": (lambda copies: layers.Dense(2 * copies), (2, 5), -1),
    "conv2d_groups_strides": (
        lambda copies: layers.Conv2D(2 * copies, 2, strides=2, groups=2),
        (2, 4, 4, 2),
        -1,
    ),
    "conv2d_dilation": (
        lambda copies: layers.Conv2D(copies, 2, dilation_rate=2, padding="same"),
        (2, 3, 2, 2),
        -1,
    ),
    "depthwise2d": (
        lambda copies: layers.DepthwiseConv2D(2, depth_multiplier=copies),
        (2, 2, 3, 2),
        -1,
    ),
    "conv2d_transpose": (
        lambda copies: layers.Conv2DTranspose(copies, 2, strides=1),
        (2, 2, 1, 2),
        -2,
    ),
    "einsum": (
        lambda copies: layers.EinsumDense("abc,cd->abd", (None, 2 * copies)),
        (2, 2, 3),
        -1,
    ),
}


def draws(name, estimator, posterior="gaussian", same_example=False):
    """Draws [draws, example, ...], the input, and the layer of one copy that has their moments."""
    make, shape, axis = CASES[name]
    generator = np.random.default_rng(5)
    x = generator.standard_normal(shape).astype("float32")
    if same_example:
        x[1] = x[0]
    single = VariationalWeights(make(1), posterior=posterior)
    layer = VariationalWeights(make(COPIES), posterior=posterior, estimator=estimator, seed=6)
    single.build(shape)
    layer.build(shape)
    (loc,), (spread,) = single.variational_weights, single._spread
    loc.assign(generator.standard_normal(loc.shape))
    spread.assign(0.5 * generator.standard_normal(loc.shape) - 0.5)
    layer.variational_weights[0].assign(np.repeat(loc.numpy(), COPIES, axis))
    layer._spread[0].assign(np.repeat(spread.numpy(), COPIES, axis))
    call = tf.function(lambda: layer(x, training=True))
    outputs = np.stack([call().numpy() for _ in range(CALLS)])  # [call, example, ..., channel]
    outputs = outputs.reshape(*outputs.shape[:-1], -1, COPIES)
    outputs = np.moveaxis(outputs, -1, 1)
    return outputs.reshape(-1, *outputs.shape[2:]).astype(float), x, single


def exact_moments(single, x):
    """Mean and variance of the outputs from the Jacobian with respect to the kernel."""
    kernel = single.layer.trainable_variables[0].value
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(kernel)
        outputs = single._affine._variance(x, kernel)
        flat = tf.reshape(outputs, [-1])
    jacobian = tape.jacobian(flat, kernel, experimental_use_pfor=False)
    jacobian = jacobian.numpy().reshape(len(flat), -1)
    mean, variance = single._posterior.mean_and_variance(kernel, single._spread[0].value)
    return (
        (jacobian @ np.ravel(mean)).reshape(outputs.shape),
        (jacobian**2 @ np.ravel(variance)).reshape(outputs.shape),
    )


def assert_moments(samples, mean, variance):
    """Every mean and variance within its standard error, one false alarm in 10^4 runs."""
    bound = scipy.stats.norm.isf(1e-4 / (4 * mean.size))
    squares = (samples - mean) ** 2
    error = bound / math.sqrt(len(samples))
    np.testing.assert_array_less(np.abs(samples.mean(0) - mean), error * samples.std(0))
    np.testing.assert_array_less(np.abs(squares.mean(0) - variance), error * squares.std(0))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", CASES)
def test_outputs_have_the_exact_mean_and_variance(name, estimator):
    samples, x, single = draws(name, estimator)
    assert_moments(samples, *exact_moments(single, x))


@pytest.mark.parametrize("estimator", ["local", "sample"])
@pytest.mark.parametrize("posterior", ["log_normal", "truncated_log_normal"])
def test_two_moments_match_for_posteriors_in_log_space(posterior, estimator):
    samples, x, single = draws("dense", estimator, posterior)
    assert_moments(samples, *exact_moments(single, x))


@pytest.mark.parametrize("name", ["dense", "conv2d_groups_strides", "depthwise2d", "einsum"])
def test_local_and_flipout_decorrelate_examples_and_sample_does_not(name):
    for estimator in ESTIMATORS:
        samples, x, single = draws(name, estimator, same_example=True)
        mean, variance = exact_moments(single, x)
        first, second = np.moveaxis(samples - mean, 1, 0)
        products = first * second
        covariance = products.mean(0)
        error = products.std(0) / math.sqrt(len(samples))
        if estimator == "sample":
            np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(covariance, variance[0], rtol=0.05)
        else:
            bound = scipy.stats.norm.isf(1e-4 / (2 * covariance.size))
            np.testing.assert_array_less(np.abs(covariance), bound * error)


def test_signs_are_exactly_plus_or_minus_one_and_balanced():
    signs = distributions.random_signs((100_000,), [1, 2]).numpy()
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 4 / math.sqrt(100_000)


def test_flipout_draws_one_perturbation_for_the_batch():
    layer = VariationalWeights(layers.Dense(4, kernel_initializer="zeros"), estimator="flipout")
    outputs = layer(np.ones((6, 1), "float32"), training=True).numpy()
    np.testing.assert_allclose(np.abs(outputs), np.abs(outputs[:1]).repeat(6, 0), rtol=1e-6)
    assert len(np.unique(np.sign(outputs), axis=0)) > 1


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("estimator", ["local", "flipout"])
def test_small_scales_keep_their_noise_in_half_precision(estimator, policy):
    inner = layers.Dense(20_000, kernel_initializer="zeros", dtype=policy)
    layer = VariationalWeights(inner, estimator=estimator, initial_scale=1e-4)
    outputs = layer(np.full((2, 9), 2.0, "float32"), training=True)
    assert outputs.dtype == layer.compute_dtype
    deviation = np.sqrt(np.mean(np.square(outputs.numpy().astype(float)), axis=1))
    # 1e-4 * sqrt(9 * 2^2); the relative error of a standard deviation is 1 / sqrt(2 n).
    np.testing.assert_allclose(deviation, 6e-4, rtol=4.5 / math.sqrt(40_000))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_inputs_of_zero_give_finite_gradients(estimator, policy):
    layer = VariationalWeights(layers.Conv2D(2, 2, dtype=policy), estimator=estimator)
    x = tf.zeros([2, 3, 3, 1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=True)
        loss = tf.reduce_sum(tf.square(tf.cast(outputs, tf.float32)))
    gradients = tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])
    assert all(np.isfinite(g).all() for g in gradients if g is not None)
    assert np.isfinite(outputs.numpy().astype("float32")).all()
