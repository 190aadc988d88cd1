"""Information in the weights and expected loss over the price."""

import json

import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import (
    information_curve,
    information_in_weights,
)
from tests.support.small_minimum import BETA, small_minimum


@pytest.fixture(scope="module")
def case():
    return small_minimum()


class TestCurve:
    def test_its_points_are_those_of_single_prices(self, case):
        model, _, fishers = case
        curve = information_curve(model, fishers["kronecker"], beta=[0.01, 0.1], loss=0.7)
        for number, beta in enumerate((0.01, 0.1)):
            found = information_in_weights(model, fishers["kronecker"], beta=beta)
            assert curve.nats[number] == found.nats
            assert curve.expected_loss[number] == 0.7 + found.excess_loss
            assert curve.prior_scale[number] == found.prior_scale

    def test_loss_is_measured_where_data_has_labels(self, case):
        model, (x, y), _ = case
        options = {"labels": "expected", "likelihood": "categorical", "batch_size": 4}
        curve = information_curve(model, (x, y), **options)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, model(x))
        assert curve.loss == pytest.approx(float(loss), rel=1e-6)
        assert len(curve.beta) == 25
        assert curve.beta[12] == pytest.approx(1 / 9)

    @pytest.mark.parametrize("prior_scale", ["optimal", 0.8])
    def test_slope_of_the_lagrangian_is_the_information(self, case, prior_scale):
        model, _, fishers = case
        beta = BETA * np.array([1 - 1e-5, 1.0, 1 + 1e-5])
        curve = information_curve(
            model, fishers["dense"], beta=beta, loss=0.0, prior_scale=prior_scale
        )
        slope = np.diff(curve.lagrangian[[0, 2]]) / np.diff(beta[[0, 2]])
        assert slope[0] == pytest.approx(curve.nats[1], rel=1e-6)

    def test_information_falls_and_loss_rises_convexly(self, case):
        model, _, fishers = case
        curve = information_curve(model, fishers["gram"], loss=0.0)
        assert np.all(np.diff(curve.nats) < 0)
        assert np.all(np.diff(curve.expected_loss) > 0)
        slopes = np.diff(curve.expected_loss) / np.diff(curve.nats)
        assert np.all(np.diff(slopes) < 0)  # minus the price, which grows

    def test_errors_come_from_the_fisher_estimate(self, case):
        model, (x, y), _ = case
        options = {"likelihood": "categorical", "seed": 0, "beta": [0.01]}
        sampled = information_curve(model, (x, y), labels="sampled", **options)
        assert sampled.standard_error[0] > 0
        assert sampled.loss_standard_error[0] > 0
        one = information_in_weights(model, x, beta=0.01, likelihood="categorical", seed=0)
        assert sampled.standard_error[0] == pytest.approx(one.standard_error, rel=1e-9)
        assert "2 prices" not in repr(sampled)
        assert json.dumps(sampled.to_dict())


@pytest.mark.parametrize("label", [-1, 99])
def test_labels_outside_the_classes_are_refused(case, label):
    model, (x, y), _ = case
    with pytest.raises(ValueError, match=r"loss must be finite.*labels outside.*Received: "):
        information_curve(model, (x, np.full_like(y, label)), likelihood="categorical", seed=0)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"beta": [0.2, 0.1]}, "beta"),
        ({"beta": []}, "beta"),
        ({"beta": [0.0, 1.0]}, "beta"),
        ({"loss": np.nan}, "loss"),
        ({"loss": None}, "loss"),
        ({"prior_scale": "optimal_by_variable"}, "prior_scale"),
    ],
)
def test_bad_curves_are_one_sentence(case, change, word):
    model, _, fishers = case
    with pytest.raises(ValueError, match=rf"`{word}` must .*Received: "):
        information_curve(**{"model": model, "data": fishers["dense"], "loss": 0.0, **change})
