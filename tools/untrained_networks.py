"""Networks of `keras.applications` at random weights that `audit_pretrained_networks.py` tries too.

Nothing has to be had for them, and they bring what real networks are made of: depthwise and grouped
convolutions, squeezes, concatenations, residuals, normalisation of layers. Inputs are digits,
enlarged; labels are drawn from the predictions.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

__all__ = ["SIZES", "build"]

NUM_CLASSES = 10
applications = keras.applications

# Builder, options, and the smallest images that it takes.
KINDS: dict[str, tuple[Callable, dict, int]] = {
    "MobileNet": (applications.MobileNet, {"alpha": 0.25}, 32),
    "MobileNetV2": (applications.MobileNetV2, {"alpha": 0.35}, 32),
    "MobileNetV3Small": (applications.MobileNetV3Small, {"include_preprocessing": False}, 32),
    "EfficientNetB0": (applications.EfficientNetB0, {}, 32),
    "ResNet50V2": (applications.ResNet50V2, {}, 32),
    "DenseNet121": (applications.DenseNet121, {}, 32),
    "Xception": (applications.Xception, {}, 71),
    "NASNetMobile": (applications.NASNetMobile, {}, 32),
}
SIZES = {name: size for name, (_, _, size) in KINDS.items()}


def build(name: str) -> keras.Model:
    """The network, of ten classes, with statistics of its own at every normalisation."""
    builder, options, size = KINDS[name]
    keras.utils.set_random_seed(0)
    model = builder(weights=None, classes=NUM_CLASSES, input_shape=(size, size, 3), **options)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # one batch gives the statistics
    noise = tf.constant(np.random.default_rng(0).normal(size=(32, size, size, 3)), "float32")
    model(noise, training=True)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.99
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy())
    return model
