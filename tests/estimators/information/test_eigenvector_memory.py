"""Eigenvectors are part of what "dense" and "gram" need, and refused before any work."""

import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import (
    effective_information,
    fisher_information,
    information_curve,
    information_in_weights,
)
from keras_infobottleneck.estimators.information import minimum
from keras_infobottleneck.estimators.information.eigenvector_memory import eigenvector_bytes

layers = keras.layers
X = np.random.default_rng(0).normal(size=(9, 4))
OPTIONS = {"labels": "expected", "likelihood": "categorical"}
SIZE, ROWS = 43, 18
# Room for the matrix and its making (36 kB), or the scores and theirs (25 kB), and little more.
LIMITS = {"dense": 40_000, "gram": 28_000}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="tanh", dtype="float64", name="first"),
            layers.Dense(3, dtype="float64"),
        ]
    )


def test_bytes_are_those_of_the_smaller_matrix():
    assert eigenvector_bytes("dense", SIZE, 0) == 5 * 8 * SIZE**2
    few, many = eigenvector_bytes("gram", SIZE, ROWS), eigenvector_bytes("gram", SIZE, 10 * SIZE)
    assert few == 5 * 8 * ROWS**2 + 2 * 8 * ROWS * SIZE
    assert many == 6 * 8 * SIZE**2 + 8 * 10 * SIZE * SIZE
    assert eigenvector_bytes("diagonal", SIZE, 0) == 0


@pytest.mark.parametrize(("structure", "cheaper"), [("dense", "gram"), ("gram", "implicit")])
@pytest.mark.parametrize("measure", [information_in_weights, information_curve])
def test_they_are_refused_before_the_pass_with_what_would_fit(
    model, structure, cheaper, measure, monkeypatch
):
    options = {**OPTIONS, "structure": structure, "memory_limit": LIMITS[structure]}
    fisher_information(model, X, **options)  # without eigenvectors it fits
    more = {"beta": 0.01} if measure is information_in_weights else {"loss": 1.0}
    monkeypatch.setattr(minimum, "fisher_information", None)
    sentence = rf"^structure='{structure}' needs .* MiB with its eigenvectors; "
    with pytest.raises(ValueError, match=rf"{sentence}structure='{cheaper}' needs .* Received: "):
        measure(model, X, **options, **more)


@pytest.mark.parametrize("structure", LIMITS)
def test_a_matrix_that_was_measured_is_refused_likewise(model, structure):
    fisher = fisher_information(model, X, structure=structure, **OPTIONS)
    options = {"beta": 0.01, "memory_limit": 10_000}
    sentence = r"^The eigenvectors of a Fisher matrix .* 43 weights need .* Received: memory_limit="
    with pytest.raises(ValueError, match=sentence):
        information_in_weights(model, fisher, **options)
    for prior_scale in ("optimal", 1.0):
        with pytest.raises(ValueError, match=sentence):
            effective_information(
                model, X, layer="first", fisher=fisher, prior_scale=prior_scale, **options
            )


@pytest.mark.parametrize("structure", LIMITS)
def test_with_room_nothing_changes(model, structure, capsys):
    options = {**OPTIONS, "structure": structure}
    room = information_in_weights(model, X, beta=0.01, memory_limit=200_000, **options)
    assert room == information_in_weights(model, X, beta=0.01, **options)
    assert capsys.readouterr().out == ""
