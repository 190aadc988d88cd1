"""Two networks that read an image row by row: a transformer block, and a long short-term memory."""

import keras

__all__ = ["SEQUENCES", "lstm", "transformer"]


def transformer():
    """Rows as tokens of 64 numbers, four heads of attention, two layers behind, ten logits."""
    layers = keras.layers
    image = keras.Input((28, 28, 1))
    tokens = layers.Dense(64)(layers.Reshape((28, 28))(image))
    normal = layers.LayerNormalization()(tokens)
    mixed = layers.MultiHeadAttention(num_heads=4, key_dim=16)(normal, normal)
    hidden = layers.Add()([tokens, mixed])
    wide = layers.Dense(256, activation="relu")(layers.LayerNormalization()(hidden))
    hidden = layers.Add()([hidden, layers.Dense(64)(wide)])
    pooled = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(hidden))
    return keras.Model(image, layers.Dense(10)(pooled))


def lstm():
    """Rows as 28 steps of 64 units, ten logits."""
    layers = keras.layers
    parts = [layers.Reshape((28, 28)), layers.LSTM(64), layers.Dense(10)]
    return keras.Sequential([keras.Input((28, 28, 1)), *parts])


SEQUENCES = {"transformer": transformer, "lstm": lstm}
