"""The part on examples: the estimator's own numbers, in the data's own numbering."""

import dataclasses

import numpy as np
import pytest

import keras_infobottleneck as kib
from keras_infobottleneck import estimators


def test_examples_are_the_estimators_own(model, data, tmp_path):
    x, _ = data
    report = kib.audit(model, data, include=["fisher", "examples"], examples={"examples": len(x)})
    held = report.others["remembered"]
    fisher = dataclasses.replace(report.fisher, num_examples=len(x))
    exact = estimators.unique_information(model, data, beta=1 / len(x), fisher=fisher)
    np.testing.assert_allclose(held.nats, np.sort(exact.nats)[::-1][:10], rtol=1e-4)
    np.testing.assert_allclose(exact.nats[held.numbers_of_examples], held.nats, rtol=1e-4)
    np.testing.assert_allclose(exact.losses[held.numbers_of_examples], held.losses, rtol=1e-3)
    assert held.share_of_top_percent == pytest.approx(exact.top_share(), rel=1e-4)
    names = [r.name for r in report.readings if r.part == "examples"]
    assert names == ["nats_of_mean_example", "share_of_top_percent", *["nats_of_example"] * 10]
    assert report.verdicts()["examples"].statement.endswith(".")
    report.to_json(tmp_path / "report.json")
    again = kib.InformationReport.from_json(tmp_path / "report.json")
    assert [r.to_dict() for r in again.readings] == [r.to_dict() for r in report.readings]


def test_it_is_left_out_where_it_means_nothing(model, data):
    x, _ = data
    without = kib.audit(model, x, include=["examples"])
    assert "it takes labels" in {omission.reason for omission in without.omissions}
    paying = kib.make_variational(model, num_examples=len(x), verbose=0)
    paying.compile("adam", model.loss)
    noisy = kib.audit(paying, data, include=["examples"])
    assert any("have a posterior" in omission.reason for omission in noisy.omissions)
