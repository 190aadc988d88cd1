"""What a file says of data: its errors, the bound by its length, epochs for a function."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib
from keras_infobottleneck.compression.told_by_file import bits_of_file
from tests.support.compressed_networks import trained_perceptron

OPTIONS = {"seed": 1, "verbose": 0, "beam": 64}


@pytest.fixture(scope="module")
def trained():
    return trained_perceptron(epochs=4)


@pytest.mark.quick
def test_lengths_of_files_of_all_sizes_obey_kraft():
    # 256^n files of n bytes, each of probability 2^-bits.
    total = sum(2.0 ** (8 * n - bits_of_file(n)) for n in range(1, 100_000))
    assert 0.9 < total <= 1.0


def test_the_bound_is_that_of_the_bytes_and_errors_of_the_file(trained, tmp_path, capsys):
    model, x, y = trained
    file = kib.compress(model, tmp_path / "file.kib", data=(x, y), delta=0.1, **OPTIONS)
    network = kib.decompress(file.path)
    errors = int(np.sum(network.predict(x, verbose=0).argmax(-1) != y))
    bits = bits_of_file(len((tmp_path / "file.kib").read_bytes()))
    bound = kib.estimators.occam_bound(bits, errors, len(x), 0.1)
    assert (file.num_errors, file.num_examples, file.occam_bound) == (errors, len(x), bound)
    assert f"{bound:.2%}" in file.statement
    assert "probability 0.9 " in file.statement
    assert file.numbers()["occam_bound"] == bound
    dataset = tf.data.Dataset.from_tensor_slices((x, keras.ops.one_hot(y, 4))).batch(64)
    again = kib.compress(
        model, tmp_path / "again.kib", data=dataset, delta=0.1, **{**OPTIONS, "verbose": 1}
    )
    assert (again.num_errors, again.occam_bound) == (errors, bound)
    assert again.statement in capsys.readouterr().out


def test_without_data_nothing_is_said(trained, tmp_path):
    file = kib.compress(trained[0], tmp_path / "file.kib", **OPTIONS)
    assert file.occam_bound is None
    assert file.statement == ""
    assert "occam_bound" not in file.numbers()


@pytest.mark.slow
def test_a_number_of_epochs_trains_as_a_function_does(trained, tmp_path):
    model, x, y = trained
    options = {**OPTIONS, "num_stages": 2}

    def fit(network):
        network.fit(x, y, batch_size=50, epochs=2, verbose=0)

    ways = {
        "function": {"finetune": fit},
        "epochs": {"finetune": 2, "data": (x, y), "batch_size": 50},
    }
    for name, way in ways.items():
        keras.utils.set_random_seed(0)
        kib.compress(model, tmp_path / name, **way, **options)
    assert (tmp_path / "function").read_bytes() == (tmp_path / "epochs").read_bytes()


def test_epochs_without_data_and_outputs_that_are_no_scores_are_refused(trained, tmp_path):
    model, x, _ = trained
    with pytest.raises(ValueError, match=r"^`finetune` must .* Received: finetune=2, data=None$"):
        kib.compress(model, tmp_path / "file.kib", finetune=2, **OPTIONS)
    places = keras.Sequential([keras.Input((10, 1)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"^`data` are for a model with one output"):
        kib.compress(places, tmp_path / "file.kib", data=(x[..., None], x), **OPTIONS)
    one = keras.Sequential([keras.Input((10,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="`from_logits` must be True or False"):
        kib.compress(one, tmp_path / "file.kib", data=(x, x[:, 0] > 0), **OPTIONS)
    assert not list(itertools.chain(tmp_path.glob("*.kib")))
    one.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
    file = kib.compress(one, tmp_path / "file.kib", data=(x, x[:, 0] > 0), **OPTIONS)
    found = kib.decompress(file.path).predict(x, verbose=0)[:, 0] > 0
    assert file.num_errors == np.sum(found != (x[:, 0] > 0))


def test_labels_that_are_no_classes_are_refused_before_any_work(trained, tmp_path):
    model, x, y = trained
    one_hot = np.eye(4)[y]
    wrong = (y + 1, y - 1, y + 0.5, x, 0.5 * one_hot, np.ones((len(y), 4)), [y, y])
    for labels in wrong:
        nested = tuple(labels) if isinstance(labels, list) else labels
        for data in ((x, labels), tf.data.Dataset.from_tensors((x, nested))):
            with pytest.raises(ValueError, match=r"^The labels must be .* Received: "):
                kib.compress(model, tmp_path / "file.kib", data=data, **OPTIONS)
    assert not list(tmp_path.iterdir())
