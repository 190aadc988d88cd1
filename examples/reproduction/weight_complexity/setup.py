"""Data and networks of the experiment."""

import keras
import numpy as np
from sklearn.datasets import load_digits

from reproduction.frame import datasets

WEIGHT_DECAY = 1e-2


def build_mlp(
    width: float, num_features: int, num_classes: int, decay: bool, steps_per_execution: int
) -> keras.Model:
    """MLP of the paper. Its weight decay is part of the gradient that Adam rescales (L2)."""
    l2 = keras.regularizers.L2(WEIGHT_DECAY / 2) if decay else None
    options = {
        "kernel_regularizer": l2,
        "bias_regularizer": l2,
        "kernel_initializer": fan_in_uniform(),
    }
    layers = [
        keras.layers.Dense(int(units * width), activation="relu", **options)
        for units in (1024, 512, 256)
    ]
    model = keras.Sequential(
        [keras.layers.Input((num_features,)), *layers, keras.layers.Dense(num_classes, **options)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(3e-4)
    model.compile(optimizer, loss, steps_per_execution=steps_per_execution)
    return model


def build_adder(modulus: int, width: int, weight_decay: float) -> keras.Model:
    """Embedding, one hidden layer, output; weight decay apart from the gradient (AdamW)."""
    normal = keras.initializers.RandomNormal(stddev=1.0)
    model = keras.Sequential(
        [
            keras.layers.Input((2,), dtype="int32"),
            keras.layers.Embedding(modulus, width, embeddings_initializer=normal),
            keras.layers.Flatten(),
            keras.layers.Dense(width, activation="relu", kernel_initializer=fan_in_uniform()),
            keras.layers.Dense(modulus, kernel_initializer=fan_in_uniform()),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=weight_decay)
    model.compile(optimizer, loss, steps_per_execution=50)
    return model


def fan_in_uniform() -> keras.initializers.Initializer:
    """Uniform within 1 / sqrt(fan-in), the default of the framework the paper used."""
    return keras.initializers.VarianceScaling(1 / 3, mode="fan_in", distribution="uniform")


def load_data(
    path: str | None, max_examples: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images as rows in [-1, 1] and labels: training, then test."""
    if path is None:
        x, y = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(x))
        x, y = (x[order] / 8 - 1).astype("float32"), y[order]
        return x[:1437], y[:1437], x[1437:], y[1437:]
    images = datasets.load(path=path)
    x, y = images.x_train[:max_examples], images.y_train[:max_examples]

    def rows(pixels):
        return pixels.reshape(len(pixels), -1) * 2 - 1

    return rows(x), y.astype("int64"), rows(images.x_test), images.y_test.astype("int64")
