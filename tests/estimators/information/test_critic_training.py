"""When the training of a critic stops."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators.information.critic_steps import CriticSteps
from keras_infobottleneck.estimators.information.critic_training import trainer, trainer_on_pairs


@pytest.mark.parametrize(("patient_steps", "passes_the_plateau"), [(1, False), (200, True)])
def test_a_plateau_of_a_hundred_steps_is_no_end(patient_steps, passes_the_plateau):
    """The weight grows by 0.01 a step; others see an improvement only once it is above one."""
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((1,)), dense])

    def loss(z, n, rows, apart, training):
        weight = tf.reduce_mean(model(tf.gather(z, rows)))
        return -weight if training else tf.where(weight < 1.0, 1.0 + 0.1 * weight, 2.0 - weight)

    fit = trainer(CriticSteps(model, loss, model), 0.01, 32, 150, patient_steps=patient_steps)
    ones = np.ones((30, 1), "float32")
    training, validation = fit(ones, ones, np.random.default_rng(0))
    assert len(training) + len(validation) == 30
    assert (float(dense.kernel.numpy()[0, 0]) > 1.1) is passes_the_plateau


@pytest.mark.parametrize(
    ("num_pairs", "batch_size"), [(60, 256), (100, 128), (150, 64), (30, 4), (300, 64)]
)
def test_batches_of_pairs_hold_no_example_twice_and_are_as_many_as_promised(num_pairs, batch_size):
    """Of a loss that never improves, 200 steps of patience are awaited in every training."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    seen = []

    def record(*orders):
        seen.append(orders)

    def loss(z, n, rows, apart, training):
        if not training:
            return tf.constant(1.0)
        tf.numpy_function(record, [rows, apart], [])
        return tf.reduce_mean(model(tf.gather(z, rows)))

    fit = trainer_on_pairs(CriticSteps(model, loss, model), 0.01, batch_size, 100)
    pairs = np.ones((num_pairs, 1), "float32")
    training, held_back = fit(pairs, pairs, np.random.default_rng(0))
    assert len(training) + len(held_back) == num_pairs
    parts = np.array_split(np.arange(num_pairs), 3)
    count = 0
    for length in [len(training)] if len(held_back) else [num_pairs - len(p) for p in parts]:
        size = min(batch_size, length)
        per_pass = length // size
        epoch = per_pass * -(-10 // per_pass)
        steps = epoch * max(8, -(-200 // epoch))
        assert steps >= 200
        orders = [order for pair in seen[count : count + steps] for order in pair]
        assert all(len(set(order)) == len(order) == size for order in orders)
        assert len(set(np.concatenate(orders))) <= length
        count += steps
    assert len(seen) == count  # with no weights that are better than the first, no last training


@pytest.mark.parametrize("sign_of_all", [True, False])
def test_few_pairs_are_trained_on_for_as_long_as_all_parts_agree_is_best(sign_of_all):
    """The weight grows by 0.1 an epoch; what is held back is best at 0.5, or at best in part."""
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((1,)), dense])

    def loss(z, n, rows, apart, training):
        weight = tf.reduce_mean(model(tf.ones([1, 1])))
        if training:
            return -weight
        gain = 0.25 - tf.square(weight - 0.5)
        return -gain if sign_of_all else -gain * tf.reduce_mean(tf.gather(n, rows))

    fit = trainer_on_pairs(CriticSteps(model, loss, model), 0.01, 32, 12, patient_steps=30)
    signs = np.where(np.arange(60) % 2, 9.0, -9.0).astype("float32")[:, None]
    training, held_back = fit(signs, signs, np.random.default_rng(0))
    assert (len(training), len(held_back)) == (60, 0)
    weight = float(dense.kernel.numpy()[0, 0])
    assert weight == (pytest.approx(0.5, abs=0.02) if sign_of_all else 0.0)
