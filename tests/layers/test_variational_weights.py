"""VariationalWeights around every kind of layer: Keras's contract, what draws, what it costs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.src import testing

from keras_infobottleneck.layers import VariationalWeights
from tests.support.layers_with_weights import LAYERS, LINEAR, PAIRS, inputs_for, make, sequences
from tests.support.missing_kernels import called_where_the_device_can


@pytest.mark.parametrize("name", LAYERS)
def test_keras_layer_contract(name):
    estimator = LAYERS[name][3][len(name) % len(LAYERS[name][3])]
    testing.TestCase("run_layer_test").run_layer_test(
        lambda **options: make(name, **options),
        {"estimator": estimator, "seed": 1},
        input_data=inputs_for(name),
        expected_num_losses=0,
        custom_objects={"VariationalWeights": VariationalWeights},
    )


@pytest.mark.parametrize(("name", "estimator"), PAIRS)
def test_inference_is_the_wrapped_layer_and_training_draws(name, estimator):
    layer = make(name, estimator=estimator, initial_scale=0.3)
    x = inputs_for(name)
    mean = layer(x)
    np.testing.assert_array_equal(mean, layer.layer(x))
    first, second = layer(x, training=True), layer(x, training=True)
    assert first.shape == mean.shape
    assert not np.allclose(first, mean)
    assert not np.allclose(first, second)


@pytest.mark.parametrize("name", LAYERS)
def test_weights_do_not_depend_on_the_estimator(name):
    shapes = []
    for estimator in LAYERS[name][3]:
        layer = make(name, estimator=estimator)
        layer.build(LAYERS[name][2])
        shapes.append([(w.name, tuple(w.shape), w.dtype) for w in layer.weights])
    assert all(listed == shapes[0] for listed in shapes)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("variational_bias", [False, True])
def test_cost_is_the_sum_of_tfp_divergences(name, variational_bias):
    for options in ({}, {"prior_scale": 0.3}, {"posterior": "truncated_log_normal"}):
        layer = make(name, estimator="sample", variational_bias=variational_bias, **options)
        layer.build(LAYERS[name][2])
        posterior, prior = layer.posterior(), layer.prior()
        total = sum(tf.reduce_sum(posterior[p].kl_divergence(prior[p])) for p in posterior)
        np.testing.assert_allclose(layer.kl_divergence(), total, rtol=1e-5)
        noisy = {weight.path for weight in layer.layer.trainable_weights}
        if not variational_bias:
            noisy = {path for path in noisy if not path.endswith("bias")}
        assert set(posterior) == noisy


@pytest.mark.parametrize("estimator", LINEAR)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_training_moves_means_and_scales(estimator, jit_compile):
    model = keras.Sequential([keras.Input((4,)), make("dense", estimator=estimator)])
    model.compile("adam", "mse", jit_compile=jit_compile)
    before = [w.numpy() for w in model.layers[0].trainable_weights]
    model.fit(inputs_for("dense"), np.ones((2, 3)), verbose=0)
    after = [w.numpy() for w in model.layers[0].trainable_weights]
    assert all((a != b).any() for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize("estimator", LINEAR)
def test_every_dimension_but_the_channels_may_be_unknown(estimator):
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, make("conv2d", estimator=estimator)(inputs))
    call = tf.function(
        lambda x: model(x, training=True), input_signature=[tf.TensorSpec([None, None, None, 2])]
    )
    assert call(tf.ones([3, 4, 5, 2])).shape == (3, 3, 4, 2)
    assert call(tf.ones([1, 6, 2, 2])).shape == (1, 5, 1, 2)


@pytest.mark.parametrize("estimator", LINEAR)
def test_dense_takes_inputs_of_another_rank_than_it_was_built_for(estimator):
    layer = make("dense", estimator=estimator)
    layer.build((None, 4))
    assert layer(sequences(), training=True).shape == (2, 3, 3)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("estimator", LINEAR)
def test_both_data_formats_where_the_device_has_a_kernel(estimator, data_format):
    inner = layers.Conv1DTranspose(2, 2, data_format=data_format)
    layer = VariationalWeights(inner, estimator=estimator)
    x = inputs_for("conv1d")
    expected = called_where_the_device_can(inner, x)
    assert layer(x, training=True).shape == expected.shape


@pytest.mark.parametrize("estimator", LINEAR)
@pytest.mark.parametrize("inner_class", [layers.Conv1D, layers.Conv2D, layers.Conv2DTranspose])
def test_channels_first_builds_where_only_another_device_has_the_kernel(inner_class, estimator):
    # A model is often built on a machine without the device that will train it.
    inner = inner_class(4, 2, data_format="channels_first")
    inputs = keras.Input((3, 5) if inner_class is layers.Conv1D else (3, 5, 5))
    outputs = VariationalWeights(inner, estimator=estimator)(inputs)
    assert outputs.shape == tuple(inner.compute_output_shape(inputs.shape))


def test_pretrained_weights_are_the_means():
    inner = layers.Dense(3)
    inner.build((None, 4))
    kernel = inner.kernel.numpy()
    layer = VariationalWeights(inner)
    layer.build((None, 4))
    (posterior,) = layer.posterior().values()
    np.testing.assert_array_equal(posterior.loc, kernel)
    assert layer.layer is inner


def test_a_weight_held_by_two_layers_counts_once():
    layer = VariationalWeights(layers.SpectralNormalization(layers.Dense(3)), estimator="sample")
    layer.build((None, 4))
    assert len(layer.variational_weights) == 1


def test_signal_to_noise_is_the_ratio_also_for_tiny_and_zero_means():
    layer = make("dense", posterior="log_normal", initial_scale=0.2)
    layer.build((None, 4))
    layer.layer.kernel.assign(np.full((4, 3), 1e-9) * [[1.0, -1.0, 0.0]])
    (ratio,) = layer.signal_to_noise().values()
    expected = 1 / np.sqrt(np.expm1(0.04))
    np.testing.assert_allclose(ratio, [[expected, expected, 0.0]] * 4, rtol=1e-4)
