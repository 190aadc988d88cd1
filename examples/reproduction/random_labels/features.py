"""Features of networks whose hidden layers stay where a shared seed put them.

Whoever reads the weights knows the seed as well: such layers hold no information and cost nothing.
Whitened, their features are as unlike as the examples allow, so that independent noise on the one
layer that learns follows what each label asks of it.
"""

import keras
import numpy as np

SEED = 0  # shared by whoever writes the weights and whoever reads them
UNITS = 1024  # more than examples: every labelling of them is linear in the features
FILTERS = (16, 32)
FLOOR = 0.1  # of the mean variance: directions without variance hold only rounding


def whitened_features(kind: str, x, x_test, image_shape) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of an untrained network, decorrelated by the training examples alone.

    Args:
        kind: "mlp", "cnn" or "residual".
        x, x_test: standardised inputs, ``[examples, pixels]``.
        image_shape: height, width and channels of the pixels.

    Returns:
        Features of both, float32 ``[examples, min(examples, features)]``.
    """
    inputs = keras.Input(x.shape[1:])
    outputs = {"mlp": _mlp, "cnn": _cnn, "residual": _residual}[kind](inputs, image_shape)
    network = keras.Model(inputs, outputs)
    features, of_test = (network.predict(each, verbose=0, batch_size=500) for each in (x, x_test))
    mean = features.mean(0, dtype=np.float64)
    _, singular, axes = np.linalg.svd(features - mean, full_matrices=False)
    variance = singular**2 / len(features)
    scale = np.sqrt(variance + FLOOR * variance.mean())
    return tuple(((each - mean) @ axes.T / scale).astype("float32") for each in (features, of_test))


def _seeded(layer, number):
    """A layer class whose kernel is drawn from the shared seed and the layer's own number."""
    return lambda *a, **k: layer(
        *a, kernel_initializer=keras.initializers.HeNormal(seed=SEED + number), **k
    )


def _mlp(x, image_shape):
    """Two hidden layers."""
    del image_shape
    for number in range(2):
        x = _seeded(keras.layers.Dense, number)(UNITS, activation="relu")(x)
    return x


def _cnn(x, image_shape):
    """Two convolutions."""
    x = keras.layers.Reshape(image_shape)(x)
    for number, filters in enumerate(FILTERS):
        convolution = _seeded(keras.layers.Conv2D, number)
        x = convolution(filters, 3, strides=2, padding="same", activation="relu")(x)
    return keras.layers.Flatten()(x)


def _residual(x, image_shape):
    """A linear layer and two residual blocks of one hidden layer each."""
    del image_shape
    x = _seeded(keras.layers.Dense, 0)(UNITS)(x)
    for number in (1, 2):
        hidden = keras.layers.ReLU()(x)
        x = keras.layers.Add()([x, _seeded(keras.layers.Dense, number)(UNITS)(hidden)])
    return keras.layers.ReLU()(x)
