"""All-convolutional networks with noise in their strided layers, as in "Information Dropout"."""

from typing import Literal

import keras

import keras_infobottleneck as kib

Noise = Literal["none", "dropout", "log_uniform", "log_normal"]


def build(
    input_shape: tuple[int, int, int],
    blocks: list[list[int]],
    tail: list[int],
    num_classes: int,
    *,
    noise: Noise,
    strength: float,
    max_alpha: float = 0.7,
    input_dropout: float = 0.0,
    weight_decay: float = 0.0,
) -> keras.Model:
    """A network from images to logits: 3x3 convolutions, the last of every block strided and noisy.

    Args:
        input_shape: of one image.
        blocks: number of filters, convolution by convolution, block by block.
        tail: filters of the convolutions above, the first 3x3, the others 1x1; a last 1x1
            convolution has a filter for each class, and its spatial mean goes through one more
            dense layer, as in the published code.
        num_classes: number of logits.
        noise: of the strided layers; "log_uniform" (relu) and "log_normal" (softplus) are the
            priors of Information Dropout.
        strength: rate of binary dropout, or beta of Information Dropout, in nats per example.
        max_alpha: of Information Dropout.
        input_dropout: rate of binary dropout on the pixels.
        weight_decay: price of half the square of every kernel's entries.
    """
    decay = keras.regularizers.L2(weight_decay / 2) if weight_decay else None

    def convolution(filters, size=3, strides=1):
        return keras.layers.Conv2D(filters, size, strides, padding="same", kernel_regularizer=decay)

    def normalised(filters, size=3, strides=1, activation="relu"):
        return keras.Sequential(
            [
                convolution(filters, size, strides),
                keras.layers.BatchNormalization(momentum=0.9),
                keras.layers.Activation(activation),
            ]
        )

    x = inputs = keras.Input(input_shape)
    if input_dropout:
        x = keras.layers.Dropout(input_dropout)(x)
    for number, (*plain, strided) in enumerate(blocks):
        for filters in plain:
            x = normalised(filters)(x)
        if noise in ("log_uniform", "log_normal"):
            activation = "relu" if noise == "log_uniform" else "softplus"
            x = kib.layers.InformationDropout(
                normalised(strided, strides=2, activation=activation),
                strength,
                prior=noise,
                max_alpha=max_alpha,
                alpha_layer=convolution(strided, strides=2),
                name=f"noisy_{number}",
            )(x)
        else:
            x = normalised(strided, strides=2)(x)
            if noise == "dropout":
                x = keras.layers.Dropout(strength)(x)
    for place, filters in enumerate(tail):
        x = normalised(filters, size=3 if place == 0 else 1)(x)
    x = keras.layers.GlobalAveragePooling2D()(convolution(num_classes, size=1)(x))
    return keras.Model(inputs, keras.layers.Dense(num_classes)(x))
