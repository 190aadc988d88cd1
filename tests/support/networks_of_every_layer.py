"""Small classifiers of three classes, one for each kind of layer, and inputs for them."""

import keras
import numpy as np

layers = keras.layers
EXAMPLES = 5
BATCH = 3


def network(shape, *parts):
    """A classifier of three classes around some layers."""
    return lambda: keras.Sequential(
        [keras.Input(shape), *[part() for part in parts], layers.Flatten(), layers.Dense(3)]
    )


def residual():
    x = inputs = keras.Input((5, 5, 2))
    x = layers.Conv2D(3, 3, padding="same", activation="relu")(x)
    y = layers.Conv2D(3, 3, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization()(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def shared():
    inputs = keras.Input((4,))
    layer = layers.Dense(4, activation="tanh")
    return keras.Model(inputs, layers.Dense(3)(layer(layer(inputs))))


def shared_over_ranks():
    inputs, norm = keras.Input((3, 4)), layers.LayerNormalization()
    pooled = layers.GlobalAveragePooling1D()(layers.Dense(4)(norm(inputs)))
    return keras.Model(inputs, layers.Dense(3)(norm(pooled)))


def two_inputs():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    joined = layers.Concatenate()([layers.Dense(3, activation="tanh")(a), b])
    return keras.Model({"a": a, "b": b}, layers.Dense(3)(joined))


def attention():
    inputs = keras.Input((4, 3))
    x = layers.MultiHeadAttention(2, 2)(inputs, inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def embedding():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Dense(3, activation="tanh")(layers.Embedding(4, 3)(inputs))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


class Tied(keras.Model):
    """An embedding whose table also makes the logits: a rule alone would miss half."""

    def __init__(self):
        super().__init__()
        self.embedding = layers.Embedding(3, 4)
        self.dense = layers.Dense(4, activation="tanh")

    def call(self, inputs):
        x = self.dense(keras.ops.mean(self.embedding(inputs), axis=1))
        return keras.ops.matmul(x, keras.ops.transpose(self.embedding.embeddings))


def tied():
    model = Tied()
    model(np.zeros([1, 5], np.int32))
    return model


class Folded(keras.layers.Layer):
    """Puts time into the batch around a Dense layer: rows are no longer examples."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2, activation="tanh")

    def build(self, shape):
        self.dense.build((None, shape[-1]))

    def call(self, inputs):
        folded = keras.ops.reshape(inputs, (-1, inputs.shape[-1]))
        return keras.ops.reshape(self.dense(folded), (-1, inputs.shape[1] * 2))


class Positions(keras.layers.Layer):
    """Adds a learned vector for each position: the rows looked up are as many as examples."""

    def __init__(self):
        super().__init__()
        self.embedding = layers.Embedding(BATCH, 4)
        self.embedding.build()

    def call(self, inputs):
        return inputs + self.embedding(keras.ops.arange(BATCH))


class TimeInFront(Folded):
    """The same layer on time steps in front of examples, as many as these."""

    def call(self, inputs):
        in_front = self.dense(keras.ops.transpose(inputs, (1, 0, 2)))
        return keras.ops.transpose(in_front, (1, 0, 2))


CASES = {
    "dense": network((4,), lambda: layers.Dense(3, activation="tanh")),
    "dense on a sequence": network((3, 4), lambda: layers.Dense(3, activation="tanh")),
    "conv1d": network(
        (8, 2),
        lambda: layers.Conv1D(4, 3, strides=2, padding="causal", activation="relu"),
        lambda: layers.Conv1D(2, 2, groups=2),
    ),
    "conv2d": network(
        (6, 5, 2),
        lambda: layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
        lambda: layers.Conv2D(2, 2, groups=2),
    ),
    "dilated conv2d": network(
        (6, 6, 2), lambda: layers.Conv2D(2, (3, 2), dilation_rate=2, padding="same")
    ),
    "conv3d": network(
        (4, 3, 4, 2),
        lambda: layers.Conv3D(4, 2, strides=2, padding="same", activation="relu"),
        lambda: layers.Conv3D(2, (2, 1, 2), groups=2),
    ),
    "late wide conv": network(
        (3, 3, 6), lambda: layers.Conv2D(8, 3, padding="same", activation="relu")
    ),
    "depthwise conv2d": network(
        (5, 5, 2),
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
        lambda: layers.DepthwiseConv2D(2, strides=2),
    ),
    "transposed conv2d": network(
        (3, 2, 2),
        lambda: layers.Conv2DTranspose(2, 3, strides=2, padding="same"),
        lambda: layers.Conv2DTranspose(2, 2),
    ),
    "separable conv2d": network((4, 4, 2), lambda: layers.SeparableConv2D(2, 3)),
    "einsum": network(
        (4, 3),
        lambda: layers.EinsumDense("abc,cde->abde", (4, 2, 3), bias_axes="de"),
        lambda: layers.EinsumDense("abde,dec->abc", (4, 4), bias_axes="c"),
        lambda: layers.EinsumDense("abc,bcd->abd", (4, 3), bias_axes="bd"),
        lambda: layers.EinsumDense("...x,xy->...y", 2),
    ),
    "normalizations": network(
        (3, 4),
        lambda: layers.LayerNormalization(),
        lambda: layers.Dense(4, activation="relu"),
        lambda: layers.BatchNormalization(),
        lambda: layers.GroupNormalization(2),
    ),
    "lstm": lambda: keras.Sequential([keras.Input((3, 2)), layers.LSTM(2), layers.Dense(3)]),
    "gru": lambda: keras.Sequential([keras.Input((3, 2)), layers.GRU(2), layers.Dense(3)]),
    "time distributed": network((3, 4), lambda: layers.TimeDistributed(layers.Dense(2))),
    "time in the batch": network((3, 4), Folded),
    "as many positions as examples": network((BATCH, 4), Positions),
    "as many steps in front": network((BATCH, 4), TimeInFront),
    "residual": residual,
    "shared layer": shared,
    "normalization of sequences and vectors": shared_over_ranks,
    "two inputs": two_inputs,
    "attention": attention,
    "embedding": embedding,
    "tied embedding": tied,
}


def inputs_for(name):
    rng = np.random.default_rng(3)
    if "embedding" in name:
        return rng.integers(0, 3, [EXAMPLES, 5])
    if name == "two inputs":
        return {
            "a": rng.normal(size=(EXAMPLES, 4)).astype(np.float32),
            "b": rng.normal(size=(EXAMPLES, 3)).astype(np.float32),
        }
    shape = CASES[name]().input_shape[1:]
    return rng.normal(size=(EXAMPLES, *shape)).astype(np.float32)
