import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import quantize_to
from keras_infobottleneck.estimators.complexity.weight_quantization import quantization_levels


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, bias_initializer="normal")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2)(x)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


def channels(kernel, layer):
    """Values by output channel."""
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return kernel.reshape(-1, kernel.shape[2] * kernel.shape[3]).T
    return kernel.reshape(-1, kernel.shape[-1]).T


@pytest.mark.parametrize("num_bits", [2, 3, 5])
def test_each_output_channel_is_rounded_to_its_own_symmetric_grid(model, num_bits):
    copy = quantize_to(model, num_bits)
    for layer, old in zip(copy.layers, model.layers, strict=True):
        if not hasattr(old, "kernel"):
            continue
        rows = zip(
            channels(layer.kernel.numpy(), old), channels(old.kernel.numpy(), old), strict=True
        )
        for row, before in rows:
            step = np.abs(before).max() / (2 ** (num_bits - 1) - 1)
            np.testing.assert_allclose(row / step, np.round(before / step), atol=1e-4)
            assert np.abs(row - before).max() <= step / 2 * (1 + 1e-5)
            assert len(np.unique(row)) <= 2**num_bits


def test_one_bit_is_the_sign_times_the_mean_magnitude(model):
    old, new = model.layers[1].kernel.numpy(), quantize_to(model, 1).layers[1].kernel.numpy()
    expected = np.where(old < 0, -1, 1) * np.abs(old).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(new, expected, rtol=1e-6)


def test_sixteen_bits_change_predictions_little_and_everything_else_is_copied(model):
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    before = model.get_weights()
    copy = quantize_to(model, 16)
    np.testing.assert_allclose(copy(x), model(x), rtol=1e-3, atol=1e-4)
    for old, new, variable in zip(before, copy.get_weights(), model.weights, strict=True):
        if "kernel" not in variable.name:
            np.testing.assert_array_equal(old, new)
    for old, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)


def test_a_channel_of_zeros_stays_zero():
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(5)])
    kernel = np.ones((4, 5), "float32")
    kernel[:, 2] = 0
    model.layers[0].kernel.assign(kernel)
    for num_bits in (1, 4):
        np.testing.assert_array_equal(quantize_to(model, num_bits).layers[0].kernel, kernel)


def test_levels_reach_both_ends_and_outliers_are_clipped():
    weights = np.linspace(-1, 1, 2001, dtype=np.float32).reshape(3, -1)
    assert quantization_levels(weights, num_bits=3, clip_percentile=None).max() == 7
    weights[0, 0], weights[-1, -1] = -100, 100
    wide = quantization_levels(weights, num_bits=8, clip_percentile=None)
    clipped = quantization_levels(weights, num_bits=8, clip_percentile=99.0)
    assert len(np.unique(wide)) < 10
    assert len(np.unique(clipped)) == 256
    assert clipped.dtype == np.uint8
    assert quantization_levels(weights, num_bits=9).dtype == np.uint16


class Subclassed(keras.Model):
    """A model that cannot be cloned."""

    def __init__(self, units):
        super().__init__()
        self.dense = keras.layers.Dense(units.pop())

    def call(self, x):
        return self.dense(x)


def test_refuses_bad_input(model):
    for num_bits, error in ((0, ValueError), (17, ValueError), (True, TypeError), (3.0, TypeError)):
        with pytest.raises(error, match="num_bits"):
            quantize_to(model, num_bits)
    with pytest.raises(TypeError, match=r"`model` must be a keras.Model.*array of shape"):
        quantize_to(np.ones((4, 4)), 4)
    with pytest.raises(ValueError, match="built"):
        quantize_to(keras.Sequential([keras.layers.Dense(3)]), 4)
    subclassed = Subclassed([4])
    subclassed(np.zeros((1, 4), "float32"))
    with pytest.raises(ValueError, match="clone_model"):
        quantize_to(subclassed, 4)
