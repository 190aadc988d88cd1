"""The part about dimensions: measured where it is asked for, with its nulls."""

import keras
import numpy as np

import keras_infobottleneck as kib
from keras_infobottleneck.auditing.entries import number_in_words
from tests.support.verdicts_of_parts import check_verdicts

X = np.random.default_rng(0).normal(size=(300, 3)).astype("float32")


def test_its_numbers_are_those_of_the_estimators():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(12, name="hidden"), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    options = {"include": ["geometry"], "likelihood": "normal", "seed": 0}
    report = kib.audit(model, X, parts=[kib.auditing.Geometry()], **options)
    ratio = kib.estimators.participation_ratio(layers[0](X))
    dimension, directions = report.readings
    assert (dimension.name, dimension.where) == ("intrinsic_dimension", "hidden")
    assert abs(dimension.value - 3.0) < 4.0 * dimension.standard_error
    assert "of shuffled units" in dimension.beside
    np.testing.assert_allclose(directions.value, ratio.corrected, rtol=1e-4)
    assert "12 units" in directions.beside
    check_verdicts(report)
    verdict = report.verdicts()["geometry"]
    assert "layer hidden" in verdict.statement
    in_words = number_in_words(dimension.value, dimension.standard_error)
    assert verdict.evidence.startswith(f"{in_words} dimensions")


def test_states_that_are_all_alike_are_an_omission():
    dead = keras.layers.Dense(4, "relu", bias_initializer=keras.initializers.Constant(-99.0))
    model = keras.Sequential([keras.Input((3,)), dead, keras.layers.Dense(2)])
    options = {"include": ["geometry"], "likelihood": "normal", "seed": 0}
    report = kib.audit(model, X, parts=[kib.auditing.Geometry()], **options)
    assert list(report.readings) == []
    reasons = " ".join(omission.reason for omission in report.omissions)
    assert reasons.count("all equal") == 2  # of the dimension and of the participation ratio
