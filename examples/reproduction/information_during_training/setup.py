"""Networks and data of the experiment."""

import functools

import keras
import numpy as np

from reproduction.frame.training import start_again


class LogitScale(keras.layers.Layer):
    """Multiplies logits by a number that is not trained: surer or less sure, the same boundary."""

    def build(self, inputs_shape):
        """The number, 1 until it is assigned."""
        self.factor = self.add_weight(shape=(), initializer="ones", name="factor", trainable=False)

    def call(self, inputs):
        """Scaled logits."""
        return self.factor * inputs


@functools.cache
def _compiled(network, shape, widths, num_classes, activation, momentum):
    """One model for all runs of its kind, so that nothing of it is compiled twice."""
    model = _network(network, shape, widths, num_classes, activation)
    optimizer = keras.optimizers.SGD(0.1, momentum=momentum)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    optimizer.build(model.trainable_variables)
    return model


def fresh_classifier(
    shape: tuple[int, ...],
    num_classes: int,
    *,
    widths: list[int],
    learning_rate: float,
    seed: int,
    network: str = "dense",
    activation: str = "relu",
    momentum: float = 0.0,
) -> keras.Model:
    """A compiled classifier at the start of its training; earlier ones are no longer valid.

    ``network`` is "dense", with hidden layers ``hidden_1``, ... of the given widths, or "resnet".
    The logits go through the layer ``scale``.
    """
    kind = (network, shape, tuple(widths), num_classes, activation)
    model = _compiled(*kind, momentum)
    keras.utils.set_random_seed(seed)
    start_again(model, _network(*kind), learning_rate)
    return model


def _network(network, shape, widths, num_classes, activation):
    """An untrained network."""
    inputs = keras.Input(shape)
    if network == "resnet":
        x = _resnet_features(inputs)
    else:
        x = keras.layers.Flatten()(inputs)
        for number, width in enumerate(widths, start=1):
            x = keras.layers.Dense(width, activation, name=f"hidden_{number}")(x)
    x = keras.layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, LogitScale(name="scale")(x))


def _resnet_features(inputs):
    """ResNet-18 for small images (He et al., 2016, arXiv 1512.03385), up to the average."""
    layers = keras.layers

    def convolved(x, filters, size, strides):
        x = layers.Conv2D(filters, size, strides, "same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    x = layers.ReLU()(convolved(inputs, 64, 3, 1))
    for filters in (64, 128, 256, 512):
        for block in range(2):
            strides = 2 if block == 0 and filters > 64 else 1
            shortcut = x if strides == 1 else convolved(x, filters, 1, strides)
            x = layers.ReLU()(convolved(x, filters, 3, strides))
            x = layers.ReLU()(convolved(x, filters, 3, 1) + shortcut)
    return layers.GlobalAveragePooling2D()(x)


def spirals(num_points: int, num_arms: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of the plane on noisy spiral arms, and which arm each is on."""
    rng = np.random.default_rng(seed)
    arm = np.arange(num_points) % num_arms
    radius = np.sqrt(rng.uniform(0.02, 1.0, num_points))
    angle = 5.0 * radius + 2 * np.pi * arm / num_arms + 0.15 * rng.standard_normal(num_points)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points.astype("float32"), arm.astype("int32")
