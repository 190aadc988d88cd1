"""The layer of alpha: a twin of the layer, of its own, and noise on weights inside."""

import keras
import numpy as np
import pytest

from keras_infobottleneck.layers import InformationDropout, VariationalWeights, drawing
from tests.support.dropout_layers import constant_layer, data

pytestmark = pytest.mark.quick

layers = keras.layers


class TestTwin:
    def test_it_has_the_configuration_but_no_activation_or_penalties(self):
        layer = InformationDropout(
            layers.Conv2D(
                4,
                3,
                padding="same",
                activation="relu",
                kernel_regularizer="l2",
                kernel_constraint="non_neg",
                activity_regularizer="l1",
            ),
            0.1,
        )
        layer(data(2, 5, 5, 3), training=True)
        twin = layer.alpha_layer
        assert twin.activation is keras.activations.linear
        assert twin.kernel_regularizer is None
        assert twin.kernel_constraint is None
        assert twin.activity_regularizer is None
        assert twin.kernel.shape == layer.layer.kernel.shape
        assert not np.allclose(twin.kernel, layer.layer.kernel)

    def test_a_trained_layer_keeps_its_weights_and_gets_a_fresh_twin(self):
        trained = layers.Dense(3, "relu")
        x = data(5, 4)
        expected = trained(x)
        trained.trainable = False
        layer = InformationDropout(trained, 0.1)
        np.testing.assert_array_equal(layer(x), expected)
        assert len(layer.trainable_weights) == 2

    def test_composite_layer_with_its_own_alpha_layer(self):
        block = keras.Sequential(
            [layers.Conv1D(4, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()]
        )
        layer = InformationDropout(block, 0.1, alpha_layer=layers.Conv1D(4, 1))
        x = data(3, 6, 2)
        layer(x, training=True)
        assert len(layer.losses) == 1
        assert np.any(block.layers[1].moving_mean.numpy() != 0.0)
        clone = InformationDropout.from_config(layer.get_config())
        assert isinstance(clone.alpha_layer, layers.Conv1D)

    def test_vouched_activation(self):
        def squared_relu(x):
            return keras.ops.square(keras.ops.relu(x))

        layer = InformationDropout(
            layers.Dense(3, squared_relu), 0.1, activation_is_nonnegative=True
        )
        assert np.all(layer(data(2, 4), training=True) >= 0)

    @pytest.mark.parametrize("activation", [layers.ReLU(), layers.Activation("relu")])
    def test_activation_layers_are_recognised(self, activation):
        block = keras.Sequential([layers.Dense(3), activation])
        InformationDropout(block, 0.1, alpha_layer=layers.Dense(3))
        InformationDropout(layers.Dense(3, activation), 0.1)


class TestNesting:
    def test_weights_and_activations_draw_each_their_own_noise(self):
        inner = VariationalWeights(layers.Dense(4, "relu", bias_initializer="ones"), seed=3)
        layer = InformationDropout(inner, 0.1, seed=3)
        x = data(5, 6)
        plain = layer(x).numpy()
        draws = []
        for weights, activations in ((True, False), (False, True), (True, True)):
            with drawing([1, 2], weights=weights, activations=activations):
                draws.append(layer(x).numpy())
        for first in range(3):
            assert not np.allclose(draws[first], plain)
            assert not np.allclose(draws[first], draws[first - 1])
        assert isinstance(layer.alpha_layer, VariationalWeights)
        assert layer.alpha_layer.seed != inner.seed

    def test_training_draws_both(self):
        inner = VariationalWeights(layers.Dense(4, "relu", bias_initializer="ones"))
        layer = InformationDropout(inner, 0.1, alpha_layer=constant_layer(4, -1e4))
        x = np.zeros((5, 6), "float32")
        x[0] = 100.0
        ratio = layer(x, training=True).numpy() / layer(x).numpy()
        # Zero inputs feel no weights: what is left is the activation noise, at its floor.
        assert 0 < np.abs(ratio[1:] - 1).max() < 0.006
