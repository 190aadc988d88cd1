"""The script as a user runs it."""

import numpy as np
import pytest

from reproduction.frame.verdicts import CONTROL, UNTOLD
from reproduction.resolution_relevance.claims import judge
from tests.support.example_runs import finish, kill_at, result, run

SCRIPT = "reproduction/resolution_relevance/run.py"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(SCRIPT, folder)
    return folder


@pytest.mark.slow
def test_it_judges_its_claims_and_draws_the_figure(undisturbed):
    report = result(undisturbed)
    assert list(report["claims"]) == ["4-a", "4-b", "4-d", "4-e"]
    layers = report["records"][0]["network"]["layers"]
    assert [layer["units"] for layer in layers] == [12, 6]
    for layer in layers:
        assert 0 <= layer["relevance"] <= layer["resolution"] <= 1
        assert 0 <= layer["class_kept"] <= 1
    machine = report["records"][0]["machine"]
    assert machine["before"]["energy_std"] != machine["after"]["energy_std"]
    assert (undisturbed / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_killed_and_resumed_it_ends_the_same(undisturbed, tmp_path):
    kill_at("records/network-0.json", SCRIPT, tmp_path)
    finish(SCRIPT, tmp_path)
    assert result(tmp_path) == result(undisturbed)


def test_verdicts_follow_from_the_records():
    def layer(resolution, relevance, **more):
        near = {"below_curve": 0.01, "null_relevance_at_equal_resolution": relevance - 0.05}
        near |= {"null_relevance_std": 0.01, "mu": 1.0, "class_kept": 0.5, "free_confidence": 0.5}
        return {"resolution": resolution, "relevance": relevance, **near, **more}

    best = {"mu": 1.0, "class_kept": 0.9, "free_confidence": 0.9}
    layers = [layer(0.9, 0.2, mu=2.0), layer(0.7, 0.4, **best), layer(0.4, 0.3, mu=0.4)]
    moments = {"before": 0.1, "after": 0.2}
    machine = {m: {"energy_std": s, "below_curve": -s, "units": 20} for m, s in moments.items()}
    chance = [layer(0.5, 0.1), layer(1.0, 0.0)]
    record = {"network": {"layers": layers, "random_units": chance}, "machine": machine}
    settings = {"data": "d", "units": [1], "epochs": 1, "seeds": 1}

    def verdicts():
        return [claim["verdict"] for claim in judge([record], settings).values()]

    assert verdicts() == ["reproduced"] * 3 + [CONTROL]
    layers[1] |= {"below_curve": 0.1, "class_kept": 0.1, "null_relevance_std": 0.1}
    machine["after"]["below_curve"] = 0.0
    assert verdicts() == ["partly"] * 3 + [CONTROL]
    layers[2] |= {"resolution": 0.8, "free_confidence": 1.0, "relevance": 0.0}
    machine["after"]["energy_std"] = 0.0
    assert verdicts() == [UNTOLD] * 3 + [CONTROL]


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--data=absent.npz", "--units=3,x", "--epochs=0"])
def test_bad_flags_end_in_one_sentence_and_write_nothing(flag, tmp_path):
    done = run(SCRIPT, tmp_path / "out", flag)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert flag.split("=")[0].strip("-") in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_data_without_labels_end_in_one_sentence(tmp_path):
    np.savez(tmp_path / "data.npz", x_train=np.zeros((5, 2, 2)))
    done = run(SCRIPT, tmp_path / "out", f"--data={tmp_path / 'data.npz'}")
    assert done.returncode != 0
    assert "The file must hold" in done.stderr
