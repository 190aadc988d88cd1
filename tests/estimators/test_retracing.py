"""What reads activations is traced once for a model: no number of examples, no model traces more.

TensorFlow counts the calls of one piece of code and warns where many of them traced, though each
were of another model. Only a model whose layers were given other weights is traced anew.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_infobottleneck.estimators import (
    activation_fisher,
    fisher_information,
    hessian,
    hidden_states,
)

pytestmark = pytest.mark.quick

X = np.random.default_rng(0).normal(size=(9, 5)).astype("float32")


@keras.saving.register_keras_serializable("test_retracing")
class Counting(layers.Layer):
    """Counts how often Python runs it with symbolic tensors, once each trace."""

    def call(self, inputs):
        self.traces = getattr(self, "traces", 0) + 1
        return inputs

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


def network():
    return keras.Sequential(
        [keras.Input((5,)), Counting(name="count"), layers.Dense(2, name="narrow")]
    )


@pytest.fixture
def warnings_of_retracing(monkeypatch):
    found = []

    def warning(message, *args, **kwargs):
        found.append(message % args if args else message)

    monkeypatch.setattr(tf.get_logger(), "warning", warning)
    return found


def read_states(model, x):
    hidden_states(model, x, "narrow", batch_size=4)


def read_derivatives(model, x):
    fisher = fisher_information(model, X, likelihood="normal", seed=0)
    activation_fisher(model, x, layer="narrow", fisher=fisher, beta=0.1, prior_scale=1.0)


def test_states_of_any_number_of_examples_are_read_by_one_trace():
    model = network()
    read_states(model, X)
    traces = model.get_layer("count").traces
    for count in (1, 2, 3, 5, 6):
        read_states(model, X[:count])
    assert model.get_layer("count").traces == traces


@pytest.mark.parametrize("read", [read_states, read_derivatives])
@pytest.mark.slow
def test_many_models_are_read_without_a_warning(read, warnings_of_retracing):
    for count in range(3, 10):
        read(network(), X[:count])
    assert not [text for text in warnings_of_retracing if "levels_of" in text or "jacobian" in text]


def adapt(model):
    model.layers[0].enable_lora(2)
    model.layers[0].lora_kernel_b.assign(np.full([2, 8], 0.7))


def quantize(model):
    model.layers[0].quantize("int8")


@pytest.mark.parametrize("change", [adapt, pytest.param(quantize, marks=pytest.mark.slow)])
def test_weights_that_a_layer_was_given_later_are_seen(change):
    def measured(model):
        chosen = [model.layers[1].kernel]
        data = X, np.arange(len(X)) % 2
        fisher = fisher_information(
            model, X, labels="expected", likelihood="categorical", variables=chosen
        )
        product = hessian(model, data, likelihood="categorical", variables=chosen).matvec(
            [np.ones([8, 2])]
        )
        return fisher.diagonal()[0], product[0], hidden_states(model, X, 1, threshold=0.3)

    model = keras.Sequential(
        [keras.Input((5,)), layers.Dense(8, "relu"), layers.Dense(2, kernel_initializer="ones")]
    )
    before = measured(model)
    change(model)
    after = measured(model)
    same = keras.Sequential([keras.Input((5,)), *model.layers])
    for found, expected in zip(after, measured(same), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(after[0], before[0])
