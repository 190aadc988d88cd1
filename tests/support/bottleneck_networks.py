"""Small models whose objective charges for their weights, and data for them."""

import keras
import numpy as np
from keras import layers

import keras_infobottleneck as kib

VariationalWeights = kib.layers.VariationalWeights
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
NUM_EXAMPLES = 48
# What a warning says of a `num_examples` that the data do not have.
WRONG_COUNT = ".*divided by num_examples"


def small_data():
    random = np.random.default_rng(0)
    x = random.normal(size=(NUM_EXAMPLES, 4)).astype("float32")
    return x, (x[:, 0] + x[:, 1] > 0).astype("int32")


def make_model(weight_beta=1.0, dtype=None, num_examples=NUM_EXAMPLES, **options):
    inputs = keras.Input((4,))
    hidden = VariationalWeights(layers.Dense(5, "relu", dtype=dtype), seed=1, **options)(inputs)
    outputs = VariationalWeights(layers.Dense(2, dtype=dtype), seed=2, **options)(hidden)
    return kib.InformationBottleneckModel(
        inputs, outputs, num_examples=num_examples, weight_beta=weight_beta
    )


def assert_objective(logs, model, weight_beta=1.0):
    """The logs hold: loss = task loss + weight_beta * information / num_examples."""
    price = weight_beta * logs["weight_information"] / model.num_examples
    np.testing.assert_allclose(logs["loss"] - logs["task_loss"], price, rtol=2e-5)


@keras.saving.register_keras_serializable(package="tests")
class Network(keras.Model):
    """A subclassed network, unbuilt until it is called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [VariationalWeights(layers.Dense(4, "relu")) for _ in range(2)]
        self.head = layers.Dense(2)

    def call(self, inputs):
        for block in self.blocks:
            inputs = block(inputs)
        return self.head(inputs)
