"""When the training of a critic stops."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators.information.critic_training import trainer


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
