"""Small networks of the examples, without names or weights of their own."""

import keras
from keras import layers

from reproduction.frame.datasets import Images

NAMES = ("perceptron", "convolutions", "lenet")


def network_of(images: Images, name: str, *, use_bias: bool = False) -> keras.Model:
    """A classifier that ends in logits; smaller where the images are.

    Args:
        images: what it classifies.
        name: one of `NAMES`: a hidden layer of 100 units; three convolutions, of which two are
            pooled; LeNet-5.
        use_bias: whether layers have biases.
    """
    shape = images.x_train.shape[1:]
    is_small = shape[0] < 28
    stack: list[layers.Layer] = [keras.Input(shape)]
    options = {"activation": "relu", "use_bias": use_bias}
    if name == "perceptron":
        stack += [layers.Flatten(), layers.Dense(32 if is_small else 100, **options)]
    elif name == "convolutions":
        options["padding"] = "same"
        stack.append(layers.Conv2D(8, 5, strides=2, **options))
        for _ in range(2):
            stack += [layers.Conv2D(16, 3, **options), layers.MaxPooling2D(padding="same")]
        stack.append(layers.Flatten())
    elif name == "lenet":
        kernel, filters, units = (3, (8, 16), (32,)) if is_small else (5, (6, 16), (120, 84))
        for number in filters:
            stack.append(layers.Conv2D(number, kernel, padding="same", **options))
            stack.append(layers.MaxPooling2D())
        stack.append(layers.Flatten())
        stack += [layers.Dense(number, **options) for number in units]
    else:
        raise ValueError(f"The network must be one of {NAMES}. Received: {name!r}")
    return keras.Sequential([*stack, layers.Dense(images.num_classes, use_bias=use_bias)])
