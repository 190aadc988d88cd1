"""Information Dropout in Keras: sequences, sharing, every layer type, precision, shapes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src import testing

from keras_infobottleneck.layers import InformationDropout, VariationalWeights
from tests.support.dropout_layers import data
from tests.support.missing_kernels import called_where_the_device_can

layers = keras.layers


class TestSequences:
    def test_convolutions_leave_the_mask_out_of_account(self):
        layer = InformationDropout(layers.Conv1D(4, 3, strides=2, activation="relu"), 0.5)
        x, mask = data(2, 7, 2), np.arange(7) < np.array([[3], [1]])
        assert layer.information(x, mask=mask).shape == (2, 3, 4)


WRAPPED = {
    "Dense": (lambda: layers.Dense(3, "relu"), (2, 4)),
    "EinsumDense": (
        lambda: layers.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d", activation="relu"),
        (2, 5, 4),
    ),
    "Conv1D": (lambda: layers.Conv1D(3, 2, activation="relu6"), (2, 6, 4)),
    "Conv2D": (lambda: layers.Conv2D(4, 2, strides=2, groups=2, activation="relu"), (2, 6, 6, 4)),
    "Conv3D": (lambda: layers.Conv3D(3, 2, activation="relu"), (2, 4, 4, 4, 2)),
    "DepthwiseConv1D": (lambda: layers.DepthwiseConv1D(2, activation="relu"), (2, 6, 3)),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(2, activation="relu"), (2, 6, 6, 3)),
    "Conv1DTranspose": (lambda: layers.Conv1DTranspose(3, 2, activation="relu"), (2, 5, 2)),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(3, 2, activation="relu"), (2, 5, 5, 2)),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(3, 2, activation="relu"), (2, 3, 3, 3, 2)),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(3, 2, activation="relu"), (2, 5, 5, 2)),
    "VariationalWeights": (
        lambda: VariationalWeights(layers.Conv1D(3, 2, activation="relu")),
        (2, 6, 4),
    ),
}


class TestLayerContract(testing.TestCase):
    def test_every_layer_type_keeps_the_keras_contract(self):
        for name, (make, shape) in WRAPPED.items():
            with self.subTest(name):
                wrapped = make()
                self.run_layer_test(
                    InformationDropout,
                    {"layer": wrapped, "beta": 0.1},
                    input_shape=shape,
                    expected_output_shape=make().compute_output_shape(shape),
                    expected_num_losses=0,
                    supports_masking=wrapped.supports_masking,
                    run_training_check=False,
                    # A wrapper's policy is its layer's: TestPrecision.
                    run_mixed_precision_check=False,
                )

    def test_log_normal_prior_and_alpha_layer_keep_the_keras_contract(self):
        self.run_layer_test(
            InformationDropout,
            {
                "layer": layers.Dense(3, "softplus"),
                "beta": 0.1,
                "prior": "log_normal",
                "max_alpha": 0.5,
                "alpha_layer": layers.Dense(3),
                "seed": 4,
            },
            input_shape=(2, 4),
            expected_num_trainable_weights=6,
            expected_num_non_trainable_weights=1,
            expected_num_seed_generators=1,
            run_mixed_precision_check=False,
        )


class TestPrecision:
    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
    @pytest.mark.parametrize(
        ("activation", "prior"),
        [("relu", "log_uniform"), ("softplus", "log_normal"), ("exponential", "log_normal")],
    )
    def test_cost_and_variables_are_float32_in_mixed_precision(self, policy, activation, prior):
        layer = InformationDropout(layers.Dense(4, activation, dtype=policy), 0.1, prior=prior)
        x = data(5, 6)
        outputs = layer(x, training=True)
        assert outputs.dtype == policy.removeprefix("mixed_")
        assert layer.losses[0].dtype == tf.float32
        assert all(weight.dtype == "float32" for weight in layer.weights)
        single = InformationDropout(layers.Dense(4, activation), 0.1, prior=prior)
        single.build((None, 6))
        single.set_weights(layer.get_weights())
        tolerance = 0.01 if "bf" in policy else 0.002
        np.testing.assert_allclose(
            layer.information(x), single.information(x), rtol=tolerance, atol=4 * tolerance
        )

    def test_an_exponential_that_vanishes_in_float16_keeps_a_finite_cost(self):
        wrapped = layers.Dense(2, "exponential", dtype="mixed_float16", kernel_initializer="zeros")
        layer = InformationDropout(wrapped, 1.0, prior="log_normal")
        layer.build((None, 3))
        wrapped.bias.assign([-40.0, -2.0])
        nats = layer.information(data(1, 3)).numpy()[0]
        assert np.isfinite(nats).all()
        assert nats[0] < 60.0


class TestShapes:
    def test_channels_first_equals_channels_last(self):
        plain, inner = (
            layers.Conv2D(4, 3, activation="relu", data_format=data_format)
            for data_format in ("channels_first", "channels_last")
        )
        x = data(2, 3, 6, 6)
        called_where_the_device_can(plain, x)
        first, last = InformationDropout(plain, 0.5), InformationDropout(inner, 0.5)
        transposed = np.moveaxis(x, 1, -1)
        assert first(x, training=True).shape == (2, 4, 4, 4)
        last(transposed)
        last.set_weights(first.get_weights())
        np.testing.assert_allclose(
            np.moveaxis(first.information(x), 1, -1), last.information(transposed), rtol=1e-5
        )
