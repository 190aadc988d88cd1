"""What VariationalWeights refuses, each in one sentence, and what only looks refusable."""

import keras
import pytest
import tensorflow as tf
from keras import layers

from keras_infobottleneck.layers import VariationalWeights
from tests.support.layers_with_weights import inputs_for, make, sequences


class AddsALoss(layers.Dense):
    def call(self, inputs):
        self.add_loss(tf.reduce_sum(inputs))
        return super().call(inputs)


class Subtracting(layers.Dense):
    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel) - self.bias


class Normalised(layers.Dense):
    """Assigns its own kernel, as SpectralNormalization does with that of another layer."""

    def call(self, inputs, training=None):
        if training:
            self.kernel.assign(self.kernel / keras.ops.norm(self.kernel))
        return super().call(inputs)


class Unconfigured(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units))

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel)


def test_a_layer_without_a_configuration_can_be_sampled():
    layer = VariationalWeights(Unconfigured(3), estimator="sample")
    model = keras.Sequential([keras.Input((4,)), layer])
    assert model(inputs_for("dense"), training=True).shape == (2, 3)


def quantized():
    layer = layers.Dense(3)
    layer.build((None, 4))
    layer.quantize("int8")
    return layer


def changed_after_wrapping(change):
    layer = VariationalWeights(layers.Dense(3))
    layer.build((None, 4))
    change(layer.layer)
    return layer.kl_divergence()


BAD = {
    "no_layer": lambda: VariationalWeights(None),
    "a_class": lambda: VariationalWeights(layers.Dense),
    "posterior": lambda: VariationalWeights(layers.Dense(3), posterior="laplace"),
    "estimator": lambda: VariationalWeights(layers.Dense(3), estimator=["local"]),
    "negative_prior_scale": lambda: VariationalWeights(layers.Dense(3), prior_scale=-1.0),
    "nan_prior_scale": lambda: VariationalWeights(layers.Dense(3), prior_scale=float("nan")),
    "zero_initial_scale": lambda: VariationalWeights(layers.Dense(3), initial_scale=0),
    "infinite_max_variance": lambda: make("dense", max_variance=float("inf")),
    "text_max_variance": lambda: make("dense", max_variance="1"),
    "boolean_prior_scale": lambda: make("dense", prior_scale=True),
    "text_variational_bias": lambda: make("dense", variational_bias="no"),
    "seed": lambda: make("dense", seed=1.5),
    "dtype": lambda: VariationalWeights(layers.Dense(3), dtype="mixed_float16"),
    "flipout_log_normal": lambda: make("dense", posterior="log_normal", estimator="flipout"),
    "prior_scale_log_normal": lambda: make("dense", posterior="log_normal", prior_scale=1.0),
    "initial_scale_over_cap": lambda: make("dense", posterior="log_normal", initial_scale=2.0),
    "local_lstm": lambda: make("lstm", estimator="local"),
    "flipout_separable": lambda: make("separable2d", estimator="flipout"),
    "local_unconfigured": lambda: VariationalWeights(Unconfigured(3)),
    "local_einsum": lambda: VariationalWeights(layers.EinsumDense("abc,cd->ad", 3))(sequences()),
    "local_subtracted_bias": lambda: VariationalWeights(Subtracting(3), variational_bias=True)(
        sequences()
    ),
    "no_weights": lambda: VariationalWeights(layers.ReLU(), estimator="sample")(sequences()),
    "offsets_only": lambda: VariationalWeights(layers.LayerNormalization(), estimator="sample")(
        sequences()
    ),
    "quantized": lambda: VariationalWeights(quantized())(sequences()),
    "quantized_after": lambda: changed_after_wrapping(lambda layer: layer.quantize("int8")),
    "lora_after": lambda: changed_after_wrapping(lambda layer: layer.enable_lora(2)),
    "nested": lambda: VariationalWeights(make("dense"), estimator="sample"),
    "nested_deep": lambda: VariationalWeights(
        keras.Sequential([make("dense")]), estimator="sample"
    ),
    "activity_regularizer": lambda: VariationalWeights(layers.Dense(3, activity_regularizer="l2")),
    "adds_a_loss": lambda: VariationalWeights(AddsALoss(3))(sequences()),
    "adds_a_loss_sampled": lambda: VariationalWeights(AddsALoss(3), estimator="sample")(
        sequences(), training=True
    ),
    "assigns_its_weight": lambda: VariationalWeights(Normalised(3), estimator="sample")(
        sequences(), training=True
    ),
    "spectral_normalization": lambda: VariationalWeights(
        layers.SpectralNormalization(layers.Dense(3)), estimator="sample"
    )(sequences(), training=True),
    "cost_before_build": lambda: make("dense").kl_divergence(),
    "posterior_before_build": lambda: make("dense").posterior(),
    "anchor_before_build": lambda: make("dense").anchor_prior(),
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD.keys())
def test_bad_input_gives_one_clear_sentence(call):
    with pytest.raises((ValueError, TypeError), match="Received: "):
        call()


def test_only_a_gaussian_prior_can_be_anchored():
    layer = make("dense", posterior="log_normal")
    layer.build((None, 4))
    with pytest.raises(ValueError, match=r"Gaussian prior.*Received: "):
        layer.anchor_prior()
