"""The frame of the claim scripts: records that last, and what they took."""

import json
import os

import pytest
from absl import flags

from reproduction.frame import experiment as frame
from reproduction.frame import script

pytestmark = pytest.mark.quick


@pytest.fixture
def experiment(monkeypatch):
    of_a_script = flags.FlagValues()
    for name, default in {"smoke": False, "resume": True}.items():
        flags.DEFINE_bool(name, default, "", flag_values=of_a_script)
    of_a_script.mark_as_parsed()
    monkeypatch.setattr(flags, "FLAGS", of_a_script)
    return frame


@pytest.fixture
def data(experiment, tmp_path):
    """A file of data that was given to the script."""
    path = tmp_path / "data.npz"
    path.write_bytes(b"one")
    flags.DEFINE_string("data", os.fspath(path), "", flag_values=flags.FLAGS)
    return path


def claim(**changes):
    return {
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
    runs.conclude({"1-a": "c"}, {"1-a": claim()})
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
    runs.conclude({"1-a": "c"}, {"1-a": claim()})
    assert result(tmp_path)["minutes"] >= 1.0
    assert "core_minutes" not in result(tmp_path)


def test_another_file_of_the_same_name_is_another_run(experiment, data, tmp_path):
    experiment.Experiment(tmp_path / "out", {"data": data.name}).run("a", work)
    experiment.Experiment(tmp_path / "out", {"data": data.name}).run("a", pytest.fail)
    data.write_bytes(b"two")
    with pytest.raises(ValueError, match=r"the same settings.*Received: .*data_crc32"):
        experiment.Experiment(tmp_path / "out", {"data": data.name})


def test_records_that_are_no_runs_are_left_alone(experiment, tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "mine.txt").write_text("precious")
    for resume in (True, False):
        flags.FLAGS.resume = resume
        with pytest.raises(ValueError, match=r"no run's\. Received: "):
            experiment.Experiment(tmp_path, {})
    assert (tmp_path / "records" / "mine.txt").read_text() == "precious"
    assert not (tmp_path / "settings.json").exists()


def test_settings_that_are_no_runs_are_refused_in_a_sentence(experiment, tmp_path):
    (tmp_path / "settings.json").write_text("{ not JSON")
    with pytest.raises(ValueError, match=r"the same settings.*Received: .*no run's"):
        experiment.Experiment(tmp_path, {})


def test_a_folder_that_cannot_be_written_to_is_refused_before_any_work(
    experiment, monkeypatch, tmp_path
):
    experiment.Experiment(tmp_path, {})  # what is there can be read

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ValueError, match=r"written to\. Received: .*\(No space left on device\)"):
        experiment.Experiment(tmp_path, {})


def test_an_interruption_is_one_sentence(experiment, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(script.sys, "argv", ["script.py"])
    monkeypatch.setattr(script.app, "run", lambda start: start(["script.py"]))
    with pytest.raises(SystemExit, match=r"script\.py: interrupted; the same command goes on"):
        script.main(interrupted)


@pytest.mark.parametrize("changes", [{"verdict": "perhaps"}, {"more": 1}])
def test_a_claim_that_is_not_whole_is_refused(experiment, tmp_path, changes):
    runs = experiment.Experiment(tmp_path, {})
    with pytest.raises(ValueError, match=r"Received: 1-a with"):
        runs.conclude({"1-a": "c"}, {"1-a": claim(**changes)})
    assert not (tmp_path / "result.json").exists()
