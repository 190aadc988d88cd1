"""When the training of a critic stops."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators.information.critic_training import (
    trainer,
    trainer_on_pairs,
)


@pytest.mark.parametrize(("patient_steps", "passes_the_plateau"), [(1, False), (200, True)])
def test_a_plateau_of_a_hundred_steps_is_no_end(patient_steps, passes_the_plateau):
    """The weight grows by 0.01 a step; others see an improvement only once it is above one."""
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((1,)), dense])

    def loss(z, n, rows, apart, training):
        weight = tf.reduce_mean(model(tf.gather(z, rows)))
        return -weight if training else tf.where(weight < 1.0, 1.0 + 0.1 * weight, 2.0 - weight)

    fit = trainer(model, loss, 0.01, 32, 150, patient_steps=patient_steps)
    ones = np.ones((30, 1), "float32")
    training, validation = fit(ones, ones, np.random.default_rng(0))
    assert len(training) + len(validation) == 30
    assert (float(dense.kernel.numpy()[0, 0]) > 1.1) is passes_the_plateau


@pytest.mark.parametrize(("num_pairs", "batch_size"), [(60, 256), (100, 128), (150, 64), (30, 4)])
def test_batches_of_pairs_hold_no_example_twice_and_are_as_many_as_promised(num_pairs, batch_size):
    """Of a loss that never improves after its first epoch, 200 steps of patience are awaited."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    seen = []

    def record(*orders):
        seen.append(orders)

    def loss(z, n, rows, apart, training):
        if not training:
            return tf.constant(1.0)
        tf.numpy_function(record, [rows, apart], [])
        return tf.reduce_mean(model(tf.gather(z, rows)))

    fit = trainer_on_pairs(model, loss, 0.01, batch_size, 100)
    pairs = np.ones((num_pairs, 1), "float32")
    training, _ = fit(pairs, pairs, np.random.default_rng(0))
    size = min(batch_size, len(training))
    for order in (order for orders in seen for order in orders):
        assert len(set(order)) == len(order) == size
        assert set(order) <= set(training)
    per_pass = len(training) // size
    epoch = per_pass * -(-10 // per_pass)
    patience = max(8, -(-200 // epoch))
    assert len(seen) == epoch * (1 + patience)
    assert patience * epoch >= 200
