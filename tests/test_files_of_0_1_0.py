"""Files that version 0.1.0 wrote are read, and what is in them gives the numbers it gave."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest

import keras_infobottleneck as kib
from tests.files_of_0_1_0 import networks, numbers_of_files

FOLDER = pathlib.Path(__file__).parent / "files_of_0_1_0"
NUMBERS = json.loads((FOLDER / "numbers.json").read_text("utf-8"))
HALF = {"mixed_precision"}  # predicted in float16


def same(found, expected, rtol=2e-5, where=""):
    """Asserts that a nest of numbers and text is another; says where it is not."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key, value in expected.items():
            same(found[key], value, rtol, f"{where}/{key}")
    elif isinstance(expected, list) and expected and not isinstance(expected[0], float | int):
        assert len(found) == len(expected), where
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            same(one, other, rtol, f"{where}/{place}")
    elif isinstance(expected, str):
        assert found == expected, where
    else:
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-6, err_msg=where)


@pytest.mark.parametrize("name", networks.MODELS)
def test_a_model_of_the_file_gives_the_numbers_it_gave(name):
    _, x, y = networks.MODELS[name]
    model = keras.models.load_model(FOLDER / f"{name}.keras")
    rtol = 2e-3 if name in HALF else 2e-5
    same(numbers_of_files.numbers_of_model(model, x, y), NUMBERS[name], rtol, name)


def test_weights_alone_fit_the_network_built_anew():
    model = networks.functional()
    model.compile(keras.optimizers.Adam(0.01), networks.LOSS, metrics=["accuracy"])
    model.load_weights(FOLDER / "functional.weights.h5")
    found = numbers_of_files.numbers_of_model(model, networks.X, networks.Y)
    same({**found, "optimizer_steps": 4}, NUMBERS["functional"])  # of the optimizer none is kept


def test_a_certificate_knows_the_examples_of_its_prior():
    model = keras.models.load_model(FOLDER / "anchored.keras")
    assert model.unanchored_weights == []
    assert "anchor" in numbers_of_files.refusal_of_the_prior_data(model)


def test_a_checkpoint_goes_on_where_it_stood(tmp_path):
    shutil.copy(FOLDER / "checkpoint.npz", tmp_path)
    shutil.copy(FOLDER / "measurements.csv", tmp_path)
    model = networks.functional()
    model.compile(keras.optimizers.Adam(0.01), networks.LOSS)
    checkpoint = kib.callbacks.Checkpoint(str(tmp_path / "checkpoint.npz"))
    assert checkpoint.restore(model) == 2
    expected = dict(NUMBERS["checkpoint"])
    history, rows = expected.pop("history"), expected.pop("rows")
    same(numbers_of_files.numbers_of_model(model, networks.X, networks.Y), expected)
    same(checkpoint.history, history)

    measure = kib.callbacks.Measure(
        {"nats": lambda m: float(m.weight_information())}, csv_path=tmp_path / "measurements.csv"
    )
    fit = {"batch_size": 12, "epochs": 3, "initial_epoch": 2, "verbose": 0}
    model.fit(networks.X, networks.Y, callbacks=[measure, checkpoint], **fit)
    # The row of epoch 2 is measured again, from the weights restored.
    same([dict(row) for row in measure.rows[:3]], rows)
    assert [row["epoch"] for row in measure.rows] == [0, 1, 2, 3]
    assert all(len(values) == 3 for values in checkpoint.history.values())


@pytest.mark.parametrize("structure", numbers_of_files.STRUCTURES)
def test_a_fisher_matrix_of_the_file_answers_as_it_did(structure):
    fisher = kib.estimators.FisherInformation.from_npz(FOLDER / f"fisher_{structure}.npz")
    same(numbers_of_files.numbers_of_fisher(fisher), NUMBERS["fisher"][structure])


def test_a_report_of_the_file_has_the_fields_that_are_written_today():
    report = json.loads((FOLDER / "report.json").read_text("utf-8"))
    assert report["weights"]["nats"] == pytest.approx(NUMBERS["report"]["nats"])
    assert len(report["readings"]) == NUMBERS["report"]["readings"]
    model = networks.plain()
    model.compile("adam", networks.LOSS)
    data, parts = (networks.X, networks.Y), ["task", "fisher", "weights"]
    today = kib.audit(model, data, include=parts, seed=0, verbose=0).to_dict()
    assert report.keys() <= today.keys()
    assert report["readings"][0].keys() <= today["readings"][0].keys()
