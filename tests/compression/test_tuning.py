"""Coding in stages, between which the weights that are not coded yet learn on."""

import os

import numpy as np
import pytest

import keras_infobottleneck as kib
from tests.support.compressed_networks import trained_perceptron

OPTIONS = {"seed": 1, "verbose": 0, "beam": 128, "num_stages": 4}


@pytest.fixture(scope="module")
def trained():
    return trained_perceptron()


def learn(data, seen=None):
    """A `finetune` that trains, and remembers the weights that it found."""
    x, y = data

    def finetune(network):
        if seen is not None:
            seen.append(network.variational_layers[0].layer.get_weights())
        network.fit(x, y, batch_size=50, epochs=4, verbose=0)
        if seen is not None:
            seen.append(network.variational_layers[0].layer.get_weights())

    return finetune


@pytest.mark.quick
def test_what_is_coded_stays_while_the_rest_learns(trained, tmp_path):
    model, *data = trained
    before, seen = model.get_weights(), []
    file = kib.compress(model, tmp_path / "file.kib", finetune=learn(data, seen), **OPTIONS)
    network = kib.decompress(file.path)
    assert len(seen) == 2 * 3
    moved = []
    for at_start, at_end in zip(seen[::2], seen[1::2], strict=True):
        kernel = network.get_weights()[0]
        same = at_start[0] == at_end[0]
        moved.append(np.mean(~same))
        np.testing.assert_array_equal(at_end[0][same], kernel[same])  # and is in the file
        np.testing.assert_array_equal(at_start[1], at_end[1])  # biases are fixed from the start
    np.testing.assert_allclose(moved, [9 / 16, 4 / 16, 1 / 16], atol=0.1)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not os.path.exists(f"{file.path}.progress")


@pytest.mark.slow
def test_an_interrupted_call_goes_on_where_it_was(trained, tmp_path):
    model, *data = trained
    path = tmp_path / "file.kib"
    calls = []

    def dies(network):
        calls.append(network)
        if len(calls) == 3:
            raise KeyboardInterrupt
        learn(data)(network)

    with pytest.raises(KeyboardInterrupt):
        kib.compress(model, path, finetune=dies, **OPTIONS)
    assert not path.exists()
    assert os.path.exists(f"{path}.progress")
    seen = []
    file = kib.compress(model, path, finetune=learn(data, seen), **OPTIONS)
    assert len(seen) == 2  # the third of three
    x, y = data
    assert np.mean(kib.decompress(file.path)(x).numpy().argmax(-1) != y) < 0.25
    # Progress of another model or of other options is none of this one's.
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        kib.compress(model, path, finetune=dies, **OPTIONS)
    seen.clear()
    kib.compress(model, path, finetune=learn(data, seen), **{**OPTIONS, "seed": 2})
    assert len(seen) == 6
