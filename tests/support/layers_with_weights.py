"""Every kind of layer whose weights can be drawn, small, and inputs for each."""

import numpy as np
from keras import layers

from keras_infobottleneck.layers import VariationalWeights

# Layer class, its arguments, shape of the input, estimators that apply.
LINEAR, ANY = ("local", "flipout", "sample"), ("sample",)
LAYERS = {
    "dense": (layers.Dense, {"units": 3, "activation": "relu"}, (2, 4), LINEAR),
    "einsum": (
        layers.EinsumDense,
        {"equation": "...b,bc->...c", "output_shape": 3},
        (2, 3, 4),
        LINEAR,
    ),
    "conv1d": (
        layers.Conv1D,
        {"filters": 2, "kernel_size": 2, "padding": "causal"},
        (2, 4, 3),
        LINEAR,
    ),
    "conv2d": (layers.Conv2D, {"filters": 2, "kernel_size": 2, "groups": 2}, (2, 3, 3, 2), LINEAR),
    "conv3d": (layers.Conv3D, {"filters": 2, "kernel_size": 2}, (2, 2, 2, 3, 1), LINEAR),
    "depthwise1d": (layers.DepthwiseConv1D, {"kernel_size": 2}, (2, 4, 3), LINEAR),
    "depthwise2d": (layers.DepthwiseConv2D, {"kernel_size": 2}, (2, 3, 3, 2), LINEAR),
    "conv1d_transpose": (
        layers.Conv1DTranspose,
        {"filters": 2, "kernel_size": 2},
        (2, 3, 2),
        LINEAR,
    ),
    "conv2d_transpose": (
        layers.Conv2DTranspose,
        {"filters": 2, "kernel_size": 2, "strides": 2},
        (2, 2, 2, 2),
        LINEAR,
    ),
    "conv3d_transpose": (
        layers.Conv3DTranspose,
        {"filters": 1, "kernel_size": 2},
        (2, 2, 2, 2, 1),
        LINEAR,
    ),
    "separable1d": (layers.SeparableConv1D, {"filters": 2, "kernel_size": 2}, (2, 3, 2), ANY),
    "separable2d": (layers.SeparableConv2D, {"filters": 2, "kernel_size": 2}, (2, 3, 3, 2), ANY),
    "lstm": (layers.LSTM, {"units": 2, "return_sequences": True}, (2, 3, 2), ANY),
    "gru": (layers.GRU, {"units": 2}, (2, 3, 2), ANY),
    "simple_rnn": (layers.SimpleRNN, {"units": 2}, (2, 3, 2), ANY),
    "conv_lstm": (layers.ConvLSTM2D, {"filters": 1, "kernel_size": 2}, (2, 2, 3, 3, 1), ANY),
    "embedding": (layers.Embedding, {"input_dim": 3, "output_dim": 2}, (2, 3), ANY),
}
PAIRS = [(name, estimator) for name, (*_, estimators) in LAYERS.items() for estimator in estimators]


def make(name, dtype=None, **options):
    layer_class, arguments, *_ = LAYERS[name]
    return VariationalWeights(layer_class(**arguments, dtype=dtype), **options)


def inputs_for(name):
    shape = LAYERS[name][2]
    if name == "embedding":
        return np.array([[0, 1, 2], [2, 2, 1]])
    return np.random.default_rng(1).standard_normal(shape).astype("float32")


def sequences():
    return np.random.default_rng(2).standard_normal((2, 3, 4)).astype("float32")
