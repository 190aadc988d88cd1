"""The script as a user runs it, and that its verdicts can fail."""

import importlib
import json

import pytest

from keras_infobottleneck import estimators
from tests.support.example_runs import ROOT, finish, run

SCRIPT = "reproduction/identities/run.py"
FIELDS = {"claim", "setting", "measured", "verdict", "criterion", "numbers"}


@pytest.mark.slow
def test_it_writes_every_identity_and_one_result_line(tmp_path):
    last = finish(SCRIPT, tmp_path).splitlines()[-1]
    assert last == f"RESULT reproduced: 10 -> {tmp_path}"
    report = json.loads((tmp_path / "result.json").read_text())
    published = json.loads((ROOT / "docs" / "results" / "identities.json").read_text())
    assert report["command"] == published["command"]
    assert report["claims"].keys() == published["claims"].keys()
    for name, claim in report["claims"].items():
        assert claim.keys() == FIELDS
        assert claim["numbers"], name
        for field in ("claim", "criterion", "verdict", "setting"):
            assert claim[field] == published["claims"][name][field]
    numbers = report["claims"]["3-a"]["numbers"]
    assert numbers["equation_8"] == pytest.approx(-3.0, abs=1e-9)
    assert numbers["limit"] == pytest.approx(0.5, abs=1e-4)


@pytest.mark.slow
def test_arguments_that_are_no_flags_end_in_one_sentence(tmp_path):
    done = run(SCRIPT, tmp_path / "out", "now")
    assert done.returncode != 0
    assert "Received: ['now']" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    done = run(SCRIPT, tmp_path / "file" / "out")
    assert done.returncode != 0
    assert "--output_dir must be a folder that can be written to. Received: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "claim", "name"),
    [
        ("measures", "layer_formula", "linear_layer_information"),
        ("measures_of_weights", "average_divergence", "cross_entropy_decomposition"),
        ("measures_of_weights", "slope_of_the_lagrangian", "information_curve"),
        ("measures_of_weights", "quadratic_optimum", "information_in_weights"),
    ],
)
def test_a_formula_that_is_a_little_wrong_is_not_reproduced(module, claim, name, monkeypatch):
    measure = getattr(importlib.import_module(f"reproduction.identities.{module}"), claim)
    right = getattr(estimators, name)
    monkeypatch.setattr(estimators, name, lambda *a, **k: _off(right(*a, **k)))
    assert not measure().holds
    monkeypatch.setattr(estimators, name, right)
    assert measure().holds


def _off(result):
    """The same with its nats one percent too large."""
    import dataclasses

    if isinstance(result, float):
        return result * 1.01
    field = "overfitting" if hasattr(result, "overfitting") else "nats"
    return dataclasses.replace(result, **{field: getattr(result, field) * 1.01})
