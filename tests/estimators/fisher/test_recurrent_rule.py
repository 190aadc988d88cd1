"""Scores of recurrent layers against TensorFlow's own gradients, example by example."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import fisher_information
from keras_infobottleneck.estimators.fisher.rules.recurrent import RecurrentRule
from keras_infobottleneck.estimators.fisher.rules.rule import rule_for

layers = keras.layers
X = np.random.default_rng(0).normal(size=(3, 4, 2))
X[1, 3:] = 0.0  # masked where a mask is made
X[2, :2] = 0.0


@pytest.fixture(autouse=True)
def in_double_precision():
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_floatx(before)


def masked_both_ways():
    return keras.Sequential(
        [
            keras.Input((4, 2)),
            layers.Masking(),
            layers.Bidirectional(layers.LSTM(2, return_sequences=True, zero_output_for_mask=True)),
            layers.GRU(2, reset_after=False, go_backwards=True),
            layers.Dense(2),
        ]
    )


def encoder_and_decoder():
    """States handed on, and a layer that is called twice."""
    inputs = keras.Input((4, 2))
    shared = layers.GRU(2, return_sequences=True, return_state=True)
    first, state = shared(inputs)
    second, _ = shared(first, initial_state=state)
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(second)))


def chain(*found):
    return lambda: keras.Sequential([keras.Input((4, 2)), *(make() for make in found)])


OTHERS = {
    "without_bias": chain(
        lambda: layers.LSTM(2, use_bias=False, return_sequences=True, implementation=1),
        lambda: layers.GRU(2, use_bias=False),
    ),
    "backwards_gru_without_bias": chain(
        lambda: layers.GRU(2, reset_after=False, use_bias=False, return_sequences=True),
        lambda: layers.SimpleRNN(2, use_bias=False, unroll=True, go_backwards=True),
    ),
    "cells": chain(lambda: layers.RNN(layers.GRUCell(2), return_sequences=True)),
    "stack_of_cells": chain(
        lambda: layers.RNN(layers.StackedRNNCells([layers.GRUCell(2), layers.LSTMCell(2)]))
    ),
}


def check_scores(make):
    """Every score, by the rule and by a tape on the model itself."""
    model = make()
    for variable in model.weights:
        noise = np.random.default_rng(1).normal(scale=0.3, size=variable.shape)
        variable.assign_add(noise)
    options = {"labels": "expected", "likelihood": "normal", "structure": "gram"}
    found = fisher_information(model, X, **options).rows
    exact = []
    for example in X:
        with tf.GradientTape(persistent=True) as tape:
            outputs = tf.reshape(model(example[None]), [-1])
            parts = tf.unstack(outputs)
        for part in parts:
            gradients = tape.gradient(part, [v.value for v in model.trainable_variables])
            exact.append(np.concatenate([np.ravel(g) for g in gradients]))
    np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-12 * np.abs(exact).max())
    return model


@pytest.mark.parametrize("make", [masked_both_ways, encoder_and_decoder])
def test_scores_are_those_of_the_tape(make):
    model = check_scores(make)
    loops = [layer for layer in model.layers if isinstance(layer, layers.RNN)]
    assert all(isinstance(rule_for(loop), RecurrentRule) for loop in loops)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_so_are_those_of_other_loops(name):
    check_scores(OTHERS[name])
