"""The frame of the claim scripts: records that last, and what they took."""

import importlib
import json
import pathlib

import pytest
from absl import flags

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


@pytest.fixture
def experiment(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    module = importlib.import_module("experiment")
    of_a_script = flags.FlagValues()
    for name, default in {"smoke": False, "resume": True}.items():
        flags.DEFINE_bool(name, default, "", flag_values=of_a_script)
    of_a_script.mark_as_parsed()
    monkeypatch.setattr(flags, "FLAGS", of_a_script)
    return module


def claim(**changes):
    return {
        "claim": "c",
        "setting": "s",
        "measured": "m",
        "verdict": "partly",
        "criterion": "k",
        "numbers": {},
        **changes,
    }


def work():
    return {"sum": sum(i * i for i in range(300_000))}


def result(folder):
    return json.loads((folder / "result.json").read_text())


def test_a_record_is_computed_once(experiment, tmp_path):
    first = experiment.Experiment(tmp_path, {"size": 1}).run("a", work)
    again = experiment.Experiment(tmp_path, {"size": 1}).run("a", pytest.fail)
    assert again == first == work()


def test_time_is_of_the_clock_and_of_all_cores(experiment, tmp_path):
    runs = experiment.Experiment(tmp_path, {})
    runs.run("a", work)
    runs.times["a"] = {"seconds": 90.0, "core_seconds": 180.0}
    runs.conclude({"1-a": claim()})
    assert (result(tmp_path)["minutes"], result(tmp_path)["core_minutes"]) == (1.5, 3.0)


def test_core_time_is_that_of_the_computation(experiment, tmp_path):
    runs = experiment.Experiment(tmp_path, {})
    runs.run("a", work)
    assert runs.times["a"]["core_seconds"] > 0.0


def test_records_that_know_no_core_time_are_still_read(experiment, tmp_path):
    runs = experiment.Experiment(tmp_path, {})
    runs.write("records/old.json", {"seconds": 60.0, "record": {"sum": 1}})
    assert runs.run("old", pytest.fail) == {"sum": 1}
    runs.run("new", work)
    runs.conclude({"1-a": claim()})
    assert result(tmp_path)["minutes"] >= 1.0
    assert "core_minutes" not in result(tmp_path)


@pytest.mark.parametrize("changes", [{"verdict": "perhaps"}, {"more": 1}])
def test_a_claim_that_is_not_whole_is_refused(experiment, tmp_path, changes):
    runs = experiment.Experiment(tmp_path, {})
    with pytest.raises(ValueError, match=r"Received: 1-a with"):
        runs.conclude({"1-a": claim(**changes)})
    assert not (tmp_path / "result.json").exists()
