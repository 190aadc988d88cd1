"""An audit measures networks at rest, also where Keras would take an open `training` for True."""

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck.introspection.activations import AUGMENTATION

pytestmark = pytest.mark.quick

layers = keras.layers
RNG = np.random.default_rng(0)
DATA = (RNG.normal(2.0, 3.0, (50, 4, 4, 1)).astype("float32"), RNG.integers(3, size=50))
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
PARTS = ("task", "activations", "relevance", "total_correlation")


def network(*augmentation):
    """Everything that an open `training` switches on, behind layers that take it for True."""
    keras.utils.set_random_seed(0)
    noisy = kib.layers.InformationDropout(layers.Dense(6, "relu"), 0.1, name="noisy", seed=0)
    inputs = h = keras.Input((4, 4, 1))
    for layer in augmentation:
        h = layer(h)
    h = layers.BatchNormalization(name="norm")(layers.Conv2D(3, 3, name="conv")(h))
    h = noisy(layers.Dropout(0.5, name="drop")(layers.Flatten(name="flat")(h)))
    model = keras.Model(inputs, layers.Dense(3, name="logits")(h))
    model.compile("sgd", LOGITS, metrics=["accuracy"])
    return model


class WithoutGraph(keras.Model):
    """The same layers in a forward pass of its own."""

    def __init__(self, network):
        super().__init__()
        self.parts = network.layers[1:]

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


def readings(model, parts):
    report = kib.audit(model, DATA, include=parts, layers=["conv", "norm", "noisy"])
    return {(reading.name, reading.where): reading.value for reading in report.readings}


def test_layers_of_augmentation_change_no_number():
    plain = network()
    found = readings(plain, PARTS)
    assert {name for name, _ in found} > {"accuracy", "activation_information", "relevance"}
    assert readings(network(layers.RandomFlip(seed=1)), PARTS) == found
    logged = plain.evaluate(*DATA, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["accuracy", ""], logged["accuracy"], rtol=1e-6)


def test_layers_of_augmentation_change_no_number_without_a_graph():
    model = WithoutGraph(network(layers.RandomFlip(seed=1)))
    model.compile("sgd", LOGITS)
    model(DATA[0][:1], training=False)
    parts = ("task", "relevance", "total_correlation")
    assert readings(model, parts) == readings(network(), parts)


def test_layers_of_augmentation_pass_their_input_through():
    pixels = RNG.uniform(0.0, 255.0, (2, 6, 6, 3)).astype("float32")
    amounts = {"RandomPosterization": [4], "RandomTranslation": [0.1, 0.1]}
    needy = ("Brightness", "ColorDegeneration", "Contrast", "Rotation", "Saturation", "Sharpness")
    for kind in AUGMENTATION:
        needs = [0.1] if kind.__name__.endswith((*needy, "Shear", "Hue", "Zoom")) else []
        layer = kind(*amounts.get(kind.__name__, needs))
        np.testing.assert_array_equal(layer(pixels, training=False), pixels, err_msg=kind.__name__)


def test_layers_of_augmentation_are_left_out():
    for layer in (layers.RandomFlip(name="flip"), layers.Solarization(name="flip")):
        plan = kib.audit(network(layer), DATA, dry_run=True)
        assert "flip" not in plan.layers
        (reason,) = [omission.reason for omission in plan.omissions if omission.where == "flip"]
        assert "passes its input through" in reason
