"""Networks that write labels into their weights, each a code of another efficiency.

A network that learns N random labels by heart must hold N log 10 nats. What a Gaussian posterior
pays beyond that is the inefficiency of its code, and decides how far below 1 the price is at which
it gives up. Two things waste nats. Similar images excite the same weights, and independent noise on
these cannot follow what other labels ask of them: whitened images are less alike, and in a memory
every training image has weights of its own. And ten Gaussian numbers for a label that one of ten
cells of a plane would hold.
"""

from typing import NamedTuple

import keras
import numpy as np

import keras_infobottleneck as kib
from reproduction.random_labels.features import whitened_features

KEY = 10.0  # size of a key of the memory
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
SHARPNESS = 5.0  # of the places of the classes: inverse variance of a point that belongs to one


class Examples(NamedTuple):
    """Inputs of a code, float32 ``[examples, features]``, and labels, int32."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class Code(NamedTuple):
    """How a network is built and trained."""

    has_memory: bool = False
    is_whitened: bool = False
    batch_size: int = 250
    learning_rate: float = 1e-2
    continues: bool = True  # at every price from where the one before left it, else anew
    features: str | None = None  # of which network at the shared seed one layer reads


MEMORY = Code(has_memory=True, batch_size=100_000, learning_rate=0.03, continues=False)
# A direction for every example is forgotten late: ten times the updates of hidden layers.
FEATURES = Code(batch_size=100_000)
CODES = {
    "mlp": Code(),
    "mlp whitened": Code(is_whitened=True),
    "cnn": Code(),
    "residual": Code(),
    "mlp features": FEATURES._replace(features="mlp"),
    "cnn features": FEATURES._replace(features="cnn"),
    "residual features": FEATURES._replace(features="residual"),
    "wide cnn": Code(batch_size=100, learning_rate=3e-3),
    "alexnet": Code(batch_size=100, learning_rate=3e-3),
    "alexnet anew": Code(batch_size=500, learning_rate=1e-3, continues=False),  # with --full
    "memory of logits": MEMORY,
    "memory of points": MEMORY,
}
HIDDEN_UNITS = 256
NUM_FILTERS = 16  # of the first convolution of the wide CNN
NUM_COMPONENTS = 100
WHITENING_FLOOR = 0.1  # of the mean variance: directions without variance hold only rounding


def prepare(code: str, images, labels: np.ndarray, chosen: np.ndarray, num_test: int) -> Examples:
    """The chosen training images with `labels`, and test images, as `code` takes them.

    What is computed from the images is computed from the training images, never from labels.
    """
    x = images.x_train[chosen].reshape(len(chosen), -1)
    x_test = images.x_test[:num_test].reshape(num_test, -1)
    mean, scale = x.mean(0), (x - x.mean(0)).std()
    x, x_test = (x - mean) / scale, (x_test - mean) / scale
    if CODES[code].features:
        x, x_test = whitened_features(CODES[code].features, x, x_test, images.x_train.shape[1:])
    if CODES[code].has_memory:
        slot, slot_test = np.arange(len(x)), _nearest(x_test, x)
    if CODES[code].has_memory or CODES[code].is_whitened:
        # Along principal components, independent noise is the right noise.
        _, singular, axes = np.linalg.svd(x, full_matrices=False)
        axes = axes[:NUM_COMPONENTS] if CODES[code].has_memory else axes
        x, x_test = x @ axes.T, x_test @ axes.T
    if CODES[code].is_whitened:
        variance = singular**2 / len(x)
        variance += WHITENING_FLOOR * variance.mean()
        x, x_test = x / np.sqrt(variance), x_test / np.sqrt(variance)
    if CODES[code].has_memory:
        scale = x.std()
        x = np.concatenate([x / scale, slot[:, None]], axis=1)
        x_test = np.concatenate([x_test / scale, slot_test[:, None]], axis=1)
    return Examples(x.astype("float32"), labels, x_test.astype("float32"), images.y_test[:num_test])


def build(code: str, examples: Examples, image_shape, num_classes: int):
    """An untrained network of the given code, every kernel of it charged."""
    inputs = keras.Input(examples.x.shape[1:])
    otherwise = _linear if CODES[code].features else _mlp
    outputs = {
        "cnn": _cnn,
        "wide cnn": _wide_cnn,
        "residual": _residual,
        "alexnet": _alexnet,
        "alexnet anew": _alexnet,
        "memory of logits": _memory_of_logits,
        "memory of points": _memory_of_points,
    }.get(code, otherwise)(inputs, len(examples.x), image_shape, num_classes)
    return kib.InformationBottleneckModel(inputs, outputs, num_examples=len(examples.x))


def build_free(code: str, units: int, input_shape, image_shape, num_classes: int):
    """An untrained network of which nothing is charged: a perceptron, or the wide CNN."""
    inputs = x = keras.Input(input_shape)
    if code == "wide cnn":
        x = _convolutions(x, image_shape, units, lambda layer: layer)
    else:
        for _ in range(2):
            x = keras.layers.Dense(units, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(num_classes)(x))


def _charged(layer, **options):
    return kib.layers.VariationalWeights(layer, **options)


def _mlp(inputs, num_examples, image_shape, num_classes):
    """Two hidden layers."""
    del num_examples, image_shape
    x = inputs
    for _ in range(2):
        x = _charged(keras.layers.Dense(HIDDEN_UNITS, activation="relu"))(x)
    return _charged(keras.layers.Dense(num_classes))(x)


def _cnn(inputs, num_examples, image_shape, num_classes):
    """Two convolutions."""
    del num_examples
    x = keras.layers.Reshape(image_shape)(inputs)
    for filters in (8, 16):
        layer = keras.layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")
        x = _charged(layer)(x)
    return _charged(keras.layers.Dense(num_classes))(keras.layers.Flatten()(x))


def _wide_cnn(inputs, num_examples, image_shape, num_classes):
    """Three convolutions, for photographs."""
    del num_examples
    x = _convolutions(inputs, image_shape, NUM_FILTERS, _charged)
    return _charged(keras.layers.Dense(num_classes))(x)


def _convolutions(x, image_shape, filters, wrap):
    """Three of them, each with twice the filters of the one before on a quarter of the places."""
    x = keras.layers.Reshape(image_shape)(x)
    for factor in (1, 2, 4):
        layer = keras.layers.Conv2D(factor * filters, 3, 2, padding="same", activation="relu")
        x = wrap(layer)(x)
    return keras.layers.Flatten()(x)


def _residual(inputs, num_examples, image_shape, num_classes):
    """Two residual blocks of one hidden layer each."""
    del num_examples, image_shape
    x = _charged(keras.layers.Dense(HIDDEN_UNITS))(inputs)
    for _ in range(2):
        hidden = keras.layers.ReLU()(x)
        x = keras.layers.Add()([x, _charged(keras.layers.Dense(HIDDEN_UNITS))(hidden)])
    return _charged(keras.layers.Dense(num_classes))(keras.layers.ReLU()(x))


def _alexnet(inputs, num_examples, image_shape, num_classes):
    """The small AlexNet of the paper, on the central 28 x 28 pixels."""
    del num_examples
    # Momentum of 0.9: moving averages must keep up within the updates of one price.
    x = keras.layers.CenterCrop(28, 28)(keras.layers.Reshape(image_shape)(inputs))
    for normalised in (False, True):
        x = _charged(keras.layers.Conv2D(64, 5, padding="same"))(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x) if normalised else x
        x = keras.layers.MaxPooling2D(2)(keras.layers.ReLU()(x))
    x = keras.layers.Flatten()(x)
    for units in (384, 192):
        x = _charged(keras.layers.Dense(units))(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    return _charged(keras.layers.Dense(num_classes))(x)


def _memory_of_logits(inputs, num_examples, image_shape, num_classes):
    """A linear reader, plus logits of its own for every training image."""
    del image_shape
    return keras.layers.Add()(
        [
            _reader(inputs, num_classes),
            _memory(inputs, num_examples, num_classes, initial_spread=0.2, noise=1.0),
        ]
    )


def _memory_of_points(inputs, num_examples, image_shape, num_classes):
    """A linear reader, plus a point in the plane for every training image.

    Each class has a fixed place, and the logit of a class falls with the squared distance of the
    point from its place: two numbers for a label instead of ten. The places are the leaves of a
    sunflower, spread as the prior spreads the points.
    """
    del image_shape
    rank = (np.arange(num_classes) + 0.5) / num_classes
    radius, angle = np.sqrt(-2 * np.log1p(-rank)), GOLDEN_ANGLE * np.arange(num_classes)
    places = radius * np.stack([np.cos(angle), np.sin(angle)])
    # SHARPNESS * (place . point - |place|^2 / 2): the part of the square that classes do not share.
    decoder = keras.layers.Dense(num_classes, trainable=False)
    logits = decoder(_memory(inputs, num_examples, 2, initial_spread=1.0, noise=0.3))
    decoder.set_weights([SHARPNESS * places, -SHARPNESS * np.square(places).sum(0) / 2])
    return keras.layers.Add()([_reader(inputs, num_classes), logits])


def _linear(inputs, num_examples, image_shape, num_classes):
    """The last layer of a network whose hidden layers stay at the shared seed."""
    del num_examples, image_shape
    return _charged(keras.layers.Dense(num_classes))(inputs)


def _reader(inputs, num_classes):
    return _charged(keras.layers.Dense(num_classes))(inputs[:, :-1])


def _memory(inputs, num_examples, size, *, initial_spread, noise):
    """One row for every training image; other images read that of the most similar one."""
    # Large keys and small rows: the same step of the optimizer moves a row further.
    rows = keras.layers.Embedding(
        num_examples,
        size,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=initial_spread / KEY),
    )
    rows = _charged(rows, estimator="sample", initial_scale=noise / KEY)(inputs[:, -1])
    return keras.layers.Rescaling(KEY)(rows)


def _nearest(x, keys) -> np.ndarray:
    """Index of the key that is nearest to each row."""
    distance = np.square(keys).sum(1) - 2 * x @ keys.T
    return distance.argmin(axis=1)
