"""Statistics of batch normalisation, pooled over data without noise."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib
from tests.support.networks_to_convert import IMAGES, QUERIES, RANDOM, TOKENS


def statistics(layer):
    return layer.moving_mean.numpy(), layer.moving_variance.numpy()


def assert_statistics(layer, values):
    mean, variance = statistics(layer)
    np.testing.assert_allclose(mean, values.mean(0), atol=1e-6)
    np.testing.assert_allclose(variance, values.var(0), rtol=1e-5, atol=1e-7)


def test_pooled_statistics_are_those_of_the_data_and_nothing_else_changes():
    inputs = keras.Input((6, 6, 2))
    first, second = layers.BatchNormalization(), layers.BatchNormalization()
    frozen = layers.BatchNormalization(trainable=False)
    noisy = kib.layers.VariationalWeights(layers.Conv2D(3, 3), initial_scale=2.0)
    nested = keras.Sequential([keras.Input((4, 4, 3)), layers.Dropout(0.5), second])
    outputs = layers.GlobalAveragePooling2D()(frozen(nested(noisy(first(inputs)))))
    model = kib.InformationBottleneckModel(inputs, outputs, num_examples=10)
    random = np.random.default_rng(1)
    model.set_weights([np.abs(random.normal(size=w.shape)) for w in model.get_weights()])
    before = {id(w): w.numpy() for w in model.weights}
    kib.recalibrate_batch_normalization(model, (IMAGES, None), batch_size=4)  # 4, 4 and 2
    assert_statistics(first, IMAGES.reshape(-1, 2))
    changed = [w for w in model.weights if np.any(before[id(w)] != w.numpy())]
    expected = [layer.moving_mean for layer in (first, second)]
    expected += [layer.moving_variance for layer in (first, second)]
    assert {id(w) for w in changed} == {id(w) for w in expected}

    # In one batch the second layer's statistics are exact too: no noise, no dropout before it.
    kib.recalibrate_batch_normalization(model, IMAGES, batch_size=10)
    z = first.gamma * (IMAGES - IMAGES.mean((0, 1, 2))) / np.sqrt(IMAGES.var((0, 1, 2)) + 1e-3)
    second_input = noisy(z + first.beta).numpy().reshape(-1, 3)
    mean, variance = statistics(second)
    np.testing.assert_allclose(mean, second_input.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, second_input.var(0), rtol=1e-4)


def test_masked_steps_do_not_count_and_time_distributed_layers_are_reached():
    inputs = keras.Input((5,), dtype="int32")
    embedding = layers.Embedding(7, 4, mask_zero=True)
    normal, timed = layers.BatchNormalization(), layers.BatchNormalization()
    tokens = np.where(np.arange(5) < RANDOM.integers(0, 6, size=(10, 1)), TOKENS, 0)
    tokens[:4] = 0  # a whole batch masked
    model = keras.Model(inputs, layers.LSTM(2)(normal(embedding(inputs))))
    kib.recalibrate_batch_normalization(model, tokens, batch_size=4)
    assert_statistics(normal, embedding.embeddings.numpy()[tokens[tokens > 0]])

    sequences = keras.Input((3, 8))
    model = keras.Model(sequences, layers.TimeDistributed(timed)(sequences))
    batches = tf.data.Dataset.from_tensor_slices((QUERIES, QUERIES)).batch(3)
    kib.recalibrate_batch_normalization(model, batches)
    assert_statistics(timed, QUERIES.reshape(-1, 8))
