"""The benchmarks of scale start, at sizes that take seconds, and go on where they were stopped."""

import json

import pytest

from tests.support import forked_scripts
from tests.support.forked_scripts import ROOT

pytestmark = pytest.mark.slow


def run(script, *flags):
    done = forked_scripts.run(ROOT / "benchmarks" / script, *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_points_are_measured_once_and_their_exponent_is_fitted(tmp_path):
    output = tmp_path / "scaling.json"
    flags = ["--smoke", "--measure=counting by states", f"--output={output}"]
    first = run("scaling.py", *flags)
    kept = output.read_text("utf-8")
    row = json.loads(kept)["measures"]["counting by states"]
    assert list(row["points"]) == ["100", "316"]
    assert all(point["peak_mebibytes"] > 0 for point in row["points"].values())
    assert set(row["summary"]["all sizes"]) == {"exponent", "standard_error"}
    again = run("scaling.py", *flags, f"--figure={tmp_path / 'scaling.png'}")
    assert "counting by states, 100:" in first
    assert "counting by states, 100:" not in again
    assert output.read_text("utf-8") == kept
    assert (tmp_path / "scaling.png").stat().st_size > 1000


def test_growth_by_calls_is_measured_and_no_model_stays_alive(tmp_path):
    output = tmp_path / "leaks.json"
    run("leaks.py", "--smoke", "--session=cleared", f"--output={output}")
    rows = json.loads(output.read_text("utf-8"))["rows"]
    assert list(rows) == ["fisher_information"]
    assert rows["fisher_information"]["cleared"]["models_alive"] == 0


def test_a_long_training_is_read_to_its_end(tmp_path):
    output = tmp_path / "endurance.json"
    run("endurance.py", "--smoke", "--precision=mixed_bfloat16", f"--output={output}")
    row = json.loads(output.read_text("utf-8"))["rows"]["mixed_bfloat16"]
    assert row["steps"] == 20
    assert row["losses_not_finite"] == row["weights_not_finite"] == 0
    assert row["last_loss"] != row["first_loss"]
    assert min(row["mebibytes_after_a_tenth"], *row["least_and_most_mebibytes_later"]) > 0


def test_every_row_for_a_device_runs_without_one(tmp_path):
    output = tmp_path / "gpu.json"
    run("gpu.py", "--smoke", f"--output={output}")
    report = json.loads(output.read_text("utf-8"))
    assert len(report["rows"]) == 9
    counted = report["rows"].pop("state counts")
    assert counted["states"] == 3000
    assert all(0 < row["share_of_the_limit"] < 1 for row in report["rows"].values())


def test_steps_with_noise_are_measured_beside_their_floor(tmp_path):
    output = tmp_path / "layers.json"
    flags = ["--nopeers", "--mode=", "--rounds=1", "--steps=1", "--nomemory"]
    run("layers.py", *flags, f"--output={output}")
    rivals = json.loads(output.read_text("utf-8"))["rivals"]
    assert {name for name, row in rivals.items() if "ratio_to_floor" in row} == {
        "local",
        "sample",
        "flipout",
    }
