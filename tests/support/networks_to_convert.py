"""Deterministic networks of many kinds of layers, and inputs for them."""

import keras
import numpy as np
from keras import layers

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(10, 6, 6, 2)).astype("float32")
TOKENS = RANDOM.integers(0, 7, size=(10, 5))
QUERIES = RANDOM.normal(size=(4, 3, 8)).astype("float32")
VALUES = RANDOM.normal(size=(4, 5, 8)).astype("float32")
VECTORS = RANDOM.normal(size=(10, 4)).astype("float32")


def image_network():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(2),
            layers.SeparableConv2D(3, 1),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def token_network():
    inputs = keras.Input((5,), dtype="int32")
    z = layers.Embedding(7, 4, mask_zero=True)(inputs)
    z = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(z)
    z = layers.TimeDistributed(layers.Dense(3))(z)
    return keras.Model(inputs, layers.GRU(2)(z))


def attention_network():
    queries, values = keras.Input((3, 8)), keras.Input((5, 8))
    z = layers.MultiHeadAttention(2, 4)(queries, value=values)
    z = layers.LayerNormalization()(z + queries)
    return keras.Model([queries, values], [z, layers.EinsumDense("bti,io->bto", (None, 2))(z)])


def network_called_by_name():
    """Layers whose first argument has a name of its own, by which it is given."""
    inputs = keras.Input((5, 8))
    z = layers.MultiHeadAttention(2, 4)(query=inputs, value=inputs, key=inputs)
    return keras.Model(inputs, layers.LSTM(2)(sequences=z))


def nested_network():
    """Shared layers, models in models, and two layers of equal path."""

    def part(name):
        inputs = keras.Input((4,))
        return keras.Model(inputs, layers.Dense(4, name="d")(inputs), name=name)

    inputs = keras.Input((4,))
    shared = layers.Dense(4, "tanh", name="shared")
    block = keras.Sequential([keras.Input((4,)), part("one"), layers.ReLU()], name="block")
    return keras.Model(inputs, part("two")(block(shared(block(shared(inputs))))))


NETWORKS = {
    "called_by_name": (network_called_by_name, VALUES),
    "sequential": (image_network, IMAGES),
    "masked": (token_network, TOKENS),
    "two_inputs": (attention_network, [QUERIES, VALUES]),
    "nested": (nested_network, VECTORS),
}


def outputs_of(model, x):
    return [np.asarray(output) for output in keras.tree.flatten(model(x))]


def assert_same_outputs(one, other, x):
    for a, b in zip(outputs_of(one, x), outputs_of(other, x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
