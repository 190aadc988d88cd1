"""Copies of models know what their preprocessing layers have adapted to."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib

pytestmark = pytest.mark.quick

NUMBERS = np.random.default_rng(0).normal(3.0, 5.0, size=(20, 4)).astype("float32")
WORDS = tf.constant([["a b"], ["b c d"], ["c a"]])


def network_of_numbers():
    normalization = layers.Normalization()
    normalization.adapt(NUMBERS)
    block = keras.Sequential([keras.Input((4,)), normalization, layers.Dense(4)])
    return keras.Sequential([keras.Input((4,)), block, layers.BatchNormalization()])


def network_of_words(output_mode):
    words = layers.TextVectorization(output_mode=output_mode)
    words.adapt(WORDS)
    return keras.Sequential([keras.Input((1,), dtype="string"), words, layers.Dense(4)])


def network_of_labels():
    lookups = layers.StringLookup(output_mode="one_hot"), layers.IntegerLookup()
    lookups[0].adapt(WORDS)
    lookups[1].adapt([0, 1, 0])
    inputs = keras.Input((1,), dtype="string")
    number = lookups[1](keras.ops.cast(lookups[0](inputs), "int64"))
    return keras.Model(inputs, layers.Dense(4)(layers.Embedding(9, 2)(number)))


NETWORKS = {
    "normalization": (network_of_numbers, NUMBERS),
    "counts": (lambda: network_of_words("count"), WORDS),
    "tf_idf": (lambda: network_of_words("tf_idf"), WORDS),
    "lookups": (network_of_labels, WORDS),
}


@pytest.mark.parametrize(("make", "x"), NETWORKS.values(), ids=NETWORKS)
def test_copies_of_an_adapted_network_predict_as_it_does(make, x):
    model = make()
    variational = kib.make_variational(model, num_examples=20, verbose=0)
    np.testing.assert_allclose(variational(x), model(x), atol=1e-6)
    np.testing.assert_allclose(kib.make_deterministic(variational)(x), model(x), atol=1e-6)
    np.testing.assert_allclose(kib.estimators.quantize_to(model, 16)(x), model(x), atol=1e-3)


def test_batch_statistics_are_measured_behind_the_adapted_normalization():
    model = network_of_numbers()
    features = np.asarray(model.layers[0](NUMBERS))
    kib.recalibrate_batch_normalization(model, NUMBERS)
    np.testing.assert_allclose(model.layers[1].moving_mean, features.mean(0), atol=1e-5)
    np.testing.assert_allclose(model.layers[1].moving_variance, features.var(0), rtol=1e-4)
