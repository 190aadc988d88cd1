"""The file of a checkpoint: kept whole, and refused in a sentence where it is something else."""

import json
import os
import threading

import keras
import numpy as np
import pytest

from keras_infobottleneck.callbacks import Checkpoint
from tests.support.damaged_archives import damaged

X = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
Y = X[:, :1]
REFUSAL = (
    r"^The checkpoint must be a complete file of this callback\. Received: filepath='[^\n]*', "
    r"[^\n]+$"
)


def small_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Input((6,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    return model


def train(path, epochs=1):
    model = small_model()
    model.fit(X, Y, epochs=epochs, verbose=0, callbacks=[Checkpoint(path)])
    return model


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "training.npz"
    train(path)
    with np.load(path) as file:
        return dict(file)


@pytest.fixture(scope="module")
def model():
    return small_model()


def refused(path, model, match=REFUSAL):
    before = model.get_weights()
    checkpoint = Checkpoint(path)
    with pytest.raises(ValueError, match=match):
        checkpoint.restore(model)
    assert checkpoint.history == {}
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_damaged_file_is_one_sentence_and_changes_nothing(arrays, model, tmp_path):
    whole, wrong = damaged(arrays, "variable_0")
    path = tmp_path / "training.npz"
    path.write_bytes(whole)
    assert Checkpoint(path).restore(small_model()) == 1
    for content in wrong.values():
        path.write_bytes(content)
        refused(path, model)


FIELDS = {
    "a negative epoch": {"epoch": -1},
    "no epoch yet": {"epoch": 0},
    "half an epoch": {"epoch": 1.5},
    "epochs": {"epoch": [1, 2]},
    "fewer variables than there are": {"num_variables": 1},
    "more variables than there are": {"num_variables": 99},
    "a history that is no JSON": {"history": "{"},
    "a history that is a list": {"history": "[1, 2]"},
    "a history of numbers": {"history": json.dumps({"loss": 3.0})},
    "a history that is nested without end": {"history": "[" * 100_000},
    "a history in bytes": {"history": b"{}"},
    "something besides": {"notes": "mine"},
}


@pytest.mark.parametrize("case", FIELDS)
def test_a_field_that_cannot_be_is_one_sentence(case, arrays, model, tmp_path):
    np.savez(tmp_path / "training.npz", **{**arrays, **FIELDS[case]})
    refused(tmp_path / "training.npz", model)


def test_a_field_that_is_missing_is_one_sentence(arrays, model, tmp_path):
    for name in arrays:
        np.savez(tmp_path / "training.npz", **{k: v for k, v in arrays.items() if k != name})
        refused(tmp_path / "training.npz", model)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a.T,
        lambda a: a[:-1],
        lambda a: a.astype("f8"),
        lambda a: a.astype("c8"),
        lambda a: a.astype("U8"),
        lambda a: a.astype("i4"),
        lambda a: a.view("V2"),
    ],
)
def test_variables_of_another_model_are_refused(spoil, arrays, model, tmp_path):
    name = next(name for name, a in arrays.items() if a.shape == (6, 1))
    np.savez(tmp_path / "training.npz", **{**arrays, name: spoil(arrays[name])})
    refused(tmp_path / "training.npz", model, r"same model and optimizer\. Received: filepath=")


def test_a_place_that_cannot_hold_a_file_is_refused_before_training(tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "training.npz"):
        with pytest.raises(ValueError, match=r"^`filepath` must be a file .* Received: filepath="):
            Checkpoint(path)
    with pytest.raises(TypeError, match=r"^`filepath` must be a path\. Received: filepath=3$"):
        Checkpoint(3)


def test_a_full_disk_keeps_the_epoch_before(tmp_path, monkeypatch):
    path = tmp_path / "training.npz"
    train(path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"Received: filepath='.*' \(No space left on device\)"):
        train(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["training.npz"]


def test_two_trainings_may_share_a_file(tmp_path):
    path, failures = tmp_path / "training.npz", []

    def write(checkpoint):
        try:
            for epoch in range(30):
                checkpoint.on_epoch_end(epoch, {"loss": 1.0})
        except BaseException as error:
            failures.append(error)

    threads = []
    for _ in range(3):
        checkpoint = Checkpoint(path)
        checkpoint.set_model(train(path))
        threads.append(threading.Thread(target=write, args=(checkpoint,)))
    for thread in threads:
        thread.start()
    model, epochs = small_model(), set()
    while any(thread.is_alive() for thread in threads):
        epochs.add(Checkpoint(path).restore(model))
    assert failures == []
    assert max(epochs) > 1
    assert os.listdir(tmp_path) == ["training.npz"]


def test_a_file_of_the_first_version_is_restored(arrays, tmp_path):
    with open(tmp_path / "training.npz.part", "wb") as file:  # as it wrote it
        np.savez(file, **arrays)
    os.replace(tmp_path / "training.npz.part", tmp_path / "training.npz")
    model = small_model()
    assert Checkpoint(tmp_path / "training.npz").restore(model) == 1
    count = int(arrays["num_variables"])
    for i, variable in zip(range(count), model.variables, strict=False):
        np.testing.assert_array_equal(variable.numpy(), arrays[f"variable_{i}"])


def test_a_model_that_is_not_compiled_or_not_built_is_refused(arrays, tmp_path):
    bare = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    path = tmp_path / "training.npz"
    with pytest.raises(ValueError, match=r"^`model` must be compiled .* Received: model="):
        Checkpoint(path).restore(bare)
    unbuilt = keras.Sequential([keras.layers.Dense(1)])
    unbuilt.compile("adam", "mse")
    assert Checkpoint(path).restore(unbuilt) == 0
    np.savez(path, **arrays)
    refused(path, unbuilt, r"^`model` must be built.* Received: model=")
