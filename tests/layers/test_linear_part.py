"""The linear part against the layer itself, and its squares and signs against the Jacobian."""

import gc
import random as python_random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_infobottleneck.layers import VariationalWeights
from keras_infobottleneck.layers.linear_part import (
    LinearPart,
    has_linear_part,
    without_activation,
)

pytestmark = pytest.mark.quick

LINEAR = {
    "dense": (layers.Dense, (3, "tanh"), {}, (2, 5)),
    "dense_over_time": (layers.Dense, (3,), {}, (2, 4, 5)),
    "einsum": (layers.EinsumDense, ("abc,cd->abd", (None, 3)), {"bias_axes": "d"}, (2, 4, 5)),
    "einsum_ellipsis": (layers.EinsumDense, ("...x,xy->...y", 3), {}, (2, 2, 2, 5)),
    "einsum_heads": (layers.EinsumDense, ("abc,cde->abde", (None, 2, 3)), {}, (2, 3, 5)),
    "einsum_contracting": (layers.EinsumDense, ("abde,dec->abc", (None, 4)), {}, (2, 2, 2, 3)),
    "einsum_per_head": (layers.EinsumDense, ("abc,bcd->abd", (3, 4)), {}, (2, 3, 5)),
    "einsum_elementwise": (layers.EinsumDense, ("ab,b->ab", 5), {}, (2, 5)),
    "conv1d": (layers.Conv1D, (4, 2), {"padding": "causal", "dilation_rate": 2}, (2, 5, 3)),
    "conv2d": (layers.Conv2D, (4, 2), {"groups": 2, "strides": 2, "padding": "same"}, (2, 4, 5, 2)),
    "conv2d_dilated": (layers.Conv2D, (2, 2), {"dilation_rate": 2}, (2, 5, 5, 2)),
    "conv3d": (layers.Conv3D, (2, 2), {}, (2, 3, 3, 3, 2)),
    "depthwise1d": (layers.DepthwiseConv1D, (2,), {"depth_multiplier": 2}, (2, 4, 3)),
    "depthwise2d": (layers.DepthwiseConv2D, (2,), {"depth_multiplier": 2}, (2, 4, 4, 2)),
    "conv1d_transpose": (layers.Conv1DTranspose, (2, 3), {"strides": 2}, (2, 3, 2)),
    "conv2d_transpose": (layers.Conv2DTranspose, (2, 3), {"strides": 2}, (2, 3, 2, 2)),
    "conv3d_transpose": (layers.Conv3DTranspose, (2, 2), {}, (2, 2, 2, 2, 2)),
}
every_linear_layer = pytest.mark.parametrize("name", LINEAR)


def make(name, **options):
    layer_class, arguments, keywords, shape = LINEAR[name]
    return layer_class(*arguments, **{**keywords, **options}), shape


def random(shape):
    return tf.constant(np.random.default_rng(3).standard_normal(shape), tf.float32)


def jacobian_to_kernel(linear, x, kernel):
    """Derivative of every output by every weight, [outputs, weights]; exact for a linear map."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(kernel)
        outputs = tf.reshape(linear(x, kernel), [-1])
    jacobian = tape.jacobian(outputs, kernel, experimental_use_pfor=False)
    return tf.reshape(jacobian, [outputs.shape[0], -1]).numpy()


@every_linear_layer
def test_linear_part_is_the_layer_without_its_activation(name):
    layer, shape = make(name, bias_initializer="random_normal")
    x = random(shape)
    expected = layer(x)
    linear = LinearPart(layer, shape, "float32")
    bias = None if layer.bias is None else layer.bias.value
    affine = linear(x, layer.kernel.value, bias)
    np.testing.assert_allclose(layer.activation(affine), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [*LINEAR, "channels_first"])
def test_a_bias_of_keras_is_added_to_every_output(name, monkeypatch):
    monkeypatch.setitem(
        LINEAR,
        "channels_first",
        (layers.Conv2D, (4, 2), {"data_format": "channels_first"}, (2, 2, 4, 5)),
    )
    layer, shape = make(name)
    linear = LinearPart(layer, shape, "float32")
    assert linear.adds_its_bias == (layer.get_config().get("bias_axes", "") is not None)
    assert linear.has_one_product_per_weight(bias_is_drawn=True)


@every_linear_layer
def test_variance_is_the_linear_map_of_squares(name):
    layer, shape = make(name)
    x = random(shape)
    layer.build(shape)
    linear = LinearPart(layer, shape, "float32")
    assert linear.has_one_product_per_weight()
    scale = tf.exp(random(layer.kernel.shape))
    jacobian = jacobian_to_kernel(linear, x, layer.kernel.value)
    exact = jacobian**2 @ np.square(scale).ravel()
    variance = tf.reshape(linear(tf.square(x), tf.square(scale)), [-1])
    np.testing.assert_allclose(variance, exact, rtol=1e-4, atol=1e-6)


@every_linear_layer
def test_signs_on_input_and_output_are_signs_on_the_kernel_one_set_per_example(name):
    layer, shape = make(name)
    x = random(shape)
    layer.build(shape)
    linear = LinearPart(layer, shape, "float32")
    kernel = layer.kernel.value
    outputs = linear(x, kernel)

    generator = np.random.default_rng(4)

    def signs(tensor, axes):
        sides = [side if axis in axes else 1 for axis, side in enumerate(tensor.shape)]
        return generator.choice([-1.0, 1.0], sides).astype("float32")

    input_signs = signs(x, linear.input_sign_axes(x.shape.rank))
    output_signs = signs(outputs, linear.output_sign_axes(outputs.shape.rank))

    plain = jacobian_to_kernel(linear, x, kernel).reshape(shape[0], -1, np.prod(kernel.shape))
    flipped = jacobian_to_kernel(lambda x, k: linear(x * input_signs, k) * output_signs, x, kernel)
    flipped = flipped.reshape(plain.shape)
    np.testing.assert_allclose(np.abs(flipped), np.abs(plain), rtol=1e-5, atol=1e-6)
    agreement = np.sign(flipped) * np.sign(plain)  # [example, output, weight]; 0 where unconnected
    assert (np.abs(agreement.sum(1)) == np.abs(agreement).sum(1)).all()
    # Signs of different examples and weights differ, otherwise flipping would decorrelate nothing.
    assert {-1.0, 1.0} <= set(np.unique(agreement))


@pytest.mark.parametrize(
    ("equation", "output_shape", "shape"),
    [
        ("abc,cd->ad", 3, (2, 4, 5)),
        ("abc,bd->ad", 3, (2, 4, 5)),
        ("abc,cd->ad", 3, (None, None, 5)),
        ("abcd,de->ae", 3, (2, 2, 3, 5)),
        ("...bc,cd->...d", 3, (2, 2, 3, 5)),
    ],
)
def test_einsum_that_sums_an_axis_of_the_input_alone_is_recognised(equation, output_shape, shape):
    layer = layers.EinsumDense(equation, output_shape)
    assert not LinearPart(layer, shape, "float32").has_one_product_per_weight()


def test_summing_an_axis_of_length_one_is_harmless():
    layer = layers.EinsumDense("abc,cd->ad", 3)
    assert LinearPart(layer, (2, 1, 5), "float32").has_one_product_per_weight()


@pytest.mark.parametrize("use_bias", [False, True])
def test_a_least_output_is_added_once_with_and_without_a_bias(use_bias):
    layer, shape = layers.Conv2D(3, 2, use_bias=use_bias), (2, 4, 4, 2)
    layer.build(shape)
    linear = LinearPart(layer, shape, "float32")
    x, kernel = random(shape), layer.kernel.value
    shifted = linear.with_least_output(0.5, x, kernel)
    np.testing.assert_allclose(shifted, linear(x, kernel) + 0.5, rtol=1e-5, atol=1e-6)
    if use_bias:
        bias = tf.constant([1.0, 2.0, 3.0])
        shifted = linear.with_least_output(0.5, x, kernel, bias)
        np.testing.assert_allclose(shifted, linear(x, kernel) + bias + 0.5, rtol=1e-5, atol=1e-6)


class MaskedDense(layers.Dense):
    def call(self, inputs):
        return super().call(inputs) * keras.ops.convert_to_tensor([1.0, 1.0, 0.0])


class SubtractingDense(layers.Dense):
    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel) - self.bias


class DenseOfMeanBias(layers.Dense):
    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel) + keras.ops.mean(self.bias)


class DenseOfMagnitude(layers.Dense):
    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel) + keras.ops.abs(self.bias)


class RescaledDense(layers.Dense):
    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel) * (1.0 + self.bias)


def own_dense(layer_class):
    layer = layer_class(3)
    layer.build((None, 5))
    return layer, LinearPart(layer, (None, 5), "float32")


@pytest.mark.parametrize(
    "layer_class", [layers.Dense, MaskedDense, SubtractingDense, DenseOfMeanBias, DenseOfMagnitude]
)
def test_a_least_output_reaches_every_output_whatever_becomes_of_the_bias(layer_class):
    layer, linear = own_dense(layer_class)
    x = tf.zeros([2, 5])
    least = tf.function(lambda: linear.with_least_output(1e-16, x, layer.kernel.value))()
    np.testing.assert_allclose(least, np.full((2, 3), 1e-16), rtol=1e-6)


@pytest.mark.parametrize(
    ("layer_class", "kept", "drawn"),
    [
        (layers.Dense, True, True),
        (MaskedDense, True, True),
        (SubtractingDense, True, False),  # a negative variance
        (DenseOfMeanBias, True, False),
        (DenseOfMagnitude, True, False),
        (RescaledDense, False, False),  # what the kernel does hangs on the bias
    ],
)
def test_a_drawn_bias_must_be_added_and_any_other_leave_the_kernel_alone(layer_class, kept, drawn):
    _, linear = own_dense(layer_class)
    assert linear.has_one_product_per_weight() == kept
    assert linear.has_one_product_per_weight(bias_is_drawn=True) == drawn


@pytest.mark.parametrize("layer_class", [MaskedDense, SubtractingDense])
def test_local_noise_and_its_gradients_are_finite_where_the_bias_is_not_simply_added(layer_class):
    layer = VariationalWeights(layer_class(3), seed=0)
    x = tf.constant([[0.0] * 5, [1.0] * 5])
    with tf.GradientTape() as tape:
        outputs = layer(x, training=True)
        loss = tf.reduce_sum(tf.square(outputs - 1.0))
    assert np.isfinite(outputs).all()
    assert all(np.isfinite(g).all() for g in tape.gradient(loss, layer.trainable_variables))


class UnitNormDense(layers.Dense):
    def call(self, inputs):
        norm = keras.ops.sqrt(keras.ops.sum(keras.ops.square(self.kernel)))
        return keras.ops.matmul(inputs, self.kernel / norm)


def test_a_subclass_that_is_not_linear_in_its_kernel_is_recognised():
    linear = LinearPart(UnitNormDense(3), (2, 5), "float32")
    assert not linear.has_one_product_per_weight()


def test_a_low_rank_adapter_is_not_one_kernel():
    layer = layers.Dense(3)
    layer.build((None, 5))
    layer.enable_lora(2)
    assert not LinearPart(layer, (None, 5), "float32").has_one_product_per_weight()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Conv1D(2, 700), (None, None, 3)),
        (layers.Conv2D(2, 5, dilation_rate=3), (None, None, None, 1)),
        (layers.Conv2DTranspose(2, 3, strides=2), (None, None, 6, 2)),
        (layers.Dense(3), (None, None, 5)),
    ],
)
def test_unknown_sides_are_probed_on_inputs_large_enough_to_see(layer, shape):
    assert LinearPart(layer, shape, "float32").has_one_product_per_weight()


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(3),
        layers.SeparableConv2D(3, 2),
        layers.Embedding(5, 3),
        layers.MultiHeadAttention(2, 3),
        layers.LayerNormalization(),
        keras.Sequential([layers.Dense(3)]),
    ],
)
def test_layers_with_more_or_less_than_one_kernel_have_no_linear_part(layer):
    assert not has_linear_part(layer)


def test_a_layer_without_activation_loses_regularisers_and_constraints_but_nothing_else():
    layer = layers.Conv2D(
        4, 3, activation="relu", kernel_regularizer="l2", bias_constraint="non_neg", groups=2
    )
    bare = without_activation(layer, name="bare")
    assert bare.activation is keras.activations.linear
    assert bare.kernel_regularizer is None
    assert bare.bias_constraint is None
    assert bare.groups == 2
    assert bare.name == "bare"


def test_the_map_is_computed_in_the_dtype_asked_for():
    layer = layers.Dense(3, dtype="mixed_float16")
    layer.build((None, 5))
    x, kernel = tf.fill([2, 5], 1e-4), tf.fill([5, 3], 1e-4)
    assert LinearPart(layer, (None, 5), "float16")(x, kernel).dtype == tf.float16
    exact = LinearPart(layer, (None, 5), "float32")(x, kernel)
    assert exact.dtype == tf.float32
    np.testing.assert_allclose(exact, 5e-8, rtol=1e-5)


def test_gradients_reach_the_kernel_that_was_given():
    layer = layers.Dense(3)
    linear = LinearPart(layer, (2, 5), "float32")
    kernel = tf.ones([5, 3])
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        total = tf.reduce_sum(linear(tf.ones([2, 5]), kernel))
    np.testing.assert_allclose(tape.gradient(total, kernel), 2.0)


def test_the_copy_that_a_linear_part_computes_with_holds_no_values():
    layer, shape = make("dense")
    x = random(shape)

    def variables():
        return sum(isinstance(each, tf.Variable) for each in gc.get_objects())

    before = variables()
    linear = LinearPart(layer, shape, "float32")
    outputs = linear(x, tf.ones([shape[1], 3]))
    assert variables() == before
    np.testing.assert_allclose(outputs, np.sum(x, axis=1, keepdims=True) * np.ones(3), rtol=1e-5)


def test_equal_layers_of_keras_are_probed_once_and_those_of_a_user_each_time(monkeypatch):
    class Own(layers.Dense):
        pass

    probes = []
    probe = LinearPart._probe
    monkeypatch.setattr(LinearPart, "_probe", lambda *a: probes.append(a) or probe(*a))
    monkeypatch.setattr("keras_infobottleneck.layers.linear_part._FOUND", {})

    def num_probes(layer, shape=(None, 5), **options):
        before = len(probes)
        assert LinearPart(layer, shape, "float32").has_one_product_per_weight(**options)
        return len(probes) - before

    assert num_probes(layers.Dense(3, "tanh")) > 5
    assert num_probes(layers.Dense(3, name="another")) == 0  # the activation is no part of it
    assert num_probes(layers.Dense(3), bias_is_drawn=True) > 5
    assert num_probes(layers.Dense(3), (None, 4)) > 5
    assert num_probes(layers.Dense(4)) > 5
    assert num_probes(Own(3)) == num_probes(Own(3)) > 5


def test_the_copy_that_a_linear_part_computes_with_draws_no_seed():
    layer, shape = make("dense")  # whose own initialiser draws one
    state = python_random.getstate()
    LinearPart(layer, shape, "float32")
    assert python_random.getstate() == state  # what a seeded network draws later is as without it
