"""The settings of ``--full``, which are for a GPU: every network is built and takes one step."""

import importlib

import keras
import numpy as np
import pytest
from absl import flags

from reproduction.frame import datasets
from reproduction.information_during_training.records import classifier
from reproduction.occlusions.setup import noisy_network, perceptron
from reproduction.random_labels.codes import build, prepare


@pytest.fixture
def settings_of():
    """The settings of a script under ``--full``, and the script."""

    def load(name):
        forget_flags()
        script = importlib.import_module(f"reproduction.{name}.run")
        forget_flags()
        return {**getattr(script, "DEFAULT", {}), **script.FULL}, script

    return load


def forget_flags():
    """Every script defines the same flags, and this process imports several of them."""
    of_module = flags.FLAGS.flags_by_module_dict()
    for module in [name for name in of_module if name.startswith("reproduction.")]:
        for flag in list(of_module[module]):
            delattr(flags.FLAGS, flag.name)


def images(*shape):
    """Four images for training and for testing, of ten classes."""
    x = np.random.default_rng(0).random((4, *shape), np.float32)
    y = np.array([0, 1, 2, 9], np.int32)
    return datasets.Images(x, y, x, y)


def takes_a_step(model, x, y):
    """Whether a step changes weights, to finite ones; not compiled, which would be slow."""
    model.run_eagerly = True
    before = model.get_weights()
    loss = model.train_on_batch(x, y)
    after = model.get_weights()
    assert np.all(np.isfinite(loss))
    assert all(np.isfinite(weight).all() for weight in after)
    return any((a != b).any() for a, b in zip(after, before, strict=True))


@pytest.mark.slow
def test_autoencoder(settings_of):
    settings, script = settings_of("autoencoder")
    x = script.flat(images(28, 28, 1).x_train)
    model = script.fresh_autoencoder(784, settings["width"], settings["num_units"], 1.0, 0)
    assert takes_a_step(model, x, x)


@pytest.mark.slow
def test_resnet(settings_of):
    settings, _ = settings_of("information_during_training")
    data = images(32, 32, 3)
    model = classifier(settings, data, 10, settings["learning_rate"], seed=0)
    assert 11e6 < model.count_params() < 12e6
    assert takes_a_step(model, data.x_train, data.y_train)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dropout", "log_uniform", "log_normal"])
def test_small_networks(settings_of, method):
    settings, script = settings_of("small_networks")
    data = images(32, 32, 3)
    strength = settings["strengths"][method][0]
    model = script.build(settings, data, method, settings["widths"][0], strength)
    assert takes_a_step(model, data.x_train, data.y_train)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["clutter", "superimposed", "occlusion"])
def test_occlusions(settings_of, task):
    settings, _ = settings_of("occlusions")
    if task == "occlusion":
        data = images(28, 28, 1)
        model, _ = perceptron(settings, data, 0, 0.1)
    else:
        side = round(settings["canvas"] * 28) if task == "clutter" else 28
        data = images(side, side, 1)
        model = noisy_network(settings, data, task, "log_uniform", 0, 0.5)
    assert takes_a_step(model, data.x_train, data.y_train)


@pytest.mark.slow
def test_alexnet():
    data = images(32, 32, 3)
    examples = prepare("alexnet anew", data, data.y_train, np.arange(4), 4)
    model = build("alexnet anew", examples, (32, 32, 3), 10)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert takes_a_step(model, examples.x, examples.y)


@pytest.mark.slow
def test_adder(settings_of):
    settings, script = settings_of("weight_complexity")
    model = script.build_adder(settings["modulus"], settings["grok_width"], 1.0)
    assert takes_a_step(model, np.array([[1, 2], [96, 0]]), np.array([3, 96]))
