"""Predictions with drawn weights: their moments, and what rests while they are drawn."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib
from tests.support.bottleneck_networks import VariationalWeights, make_model, small_data

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def data():
    return small_data()


def test_samples_have_the_moments_of_one_drawn_layer(data):
    x, _ = data
    x = x[:6]
    inputs = keras.Input((4,))
    layer = VariationalWeights(layers.Dense(2), initial_scale=0.3, seed=3)
    model = kib.InformationBottleneckModel(inputs, layer(inputs), num_examples=6)
    count = 4000
    samples = model.predict_samples(x, count, seed=5)
    assert samples.shape == (count, 6, 2)
    variance = 0.3**2 * np.square(x).sum(1, keepdims=True)
    standard_error = np.sqrt(variance / count)
    assert (np.abs(samples.mean(0) - model(x)) < 5 * standard_error).all()
    relative = samples.var(0) / variance - 1.0
    assert np.abs(relative).max() < 5 * np.sqrt(2.0 / count)
    again = model.predict_samples(x, count, seed=5)
    np.testing.assert_array_equal(samples, again)
    assert np.abs(samples - model.predict_samples(x, count, seed=6)).max() > 0.1


def test_while_samples_are_drawn_batch_norm_and_dropout_rest(data):
    x, _ = data
    inputs = keras.Input((4,))
    z = layers.Dropout(0.5)(layers.BatchNormalization()(inputs))
    left = VariationalWeights(layers.Dense(2), name="left")(z)
    right = layers.Dense(3, name="right")(z)
    model = kib.InformationBottleneckModel(inputs, [left, right], num_examples=48)
    before = model.get_weights()
    batches = tf.data.Dataset.from_tensor_slices(x).batch(13)
    drawn, fixed = model.predict_samples(batches, 3)
    assert (drawn.shape, fixed.shape) == ((3, 48, 2), (3, 48, 3))
    np.testing.assert_allclose(fixed, np.stack([model(x)[1]] * 3), atol=1e-6)
    assert np.ptp(drawn, axis=0).min() > 0.0
    same = np.tile(x[:1], (26, 1))
    first, second = np.split(model.predict_samples(same, 3, batch_size=13)[0], 2, axis=1)
    assert np.abs(first - second).min() > 0.0  # batches draw afresh
    without = model.predict_samples(x, 2, weights=False)[0]
    np.testing.assert_allclose(without, np.stack([model(x)[0]] * 2), atol=1e-6)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("num_samples", "error"),
    [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)],
)
def test_bad_numbers_of_samples_are_refused_in_a_sentence(data, num_samples, error):
    with pytest.raises(error, match=r"`num_samples` must be .* Received: num_samples="):
        make_model().predict_samples(data[0], num_samples)
