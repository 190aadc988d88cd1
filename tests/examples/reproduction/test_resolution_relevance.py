"""The script as a user runs it."""

import itertools

import keras
import numpy as np
import pytest

from keras_infobottleneck.models import RestrictedBoltzmannMachine
from reproduction.frame.verdicts import CONTROL, FALSE, UNTOLD
from reproduction.resolution_relevance.claims import judge
from reproduction.resolution_relevance.energies import (
    at_entropy,
    entropy,
    exact_energies,
    units_apart,
)
from reproduction.resolution_relevance.samples import frechet_distance, two_samples
from tests.support.example_runs import finish, killed_and_resumed, result, run

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
    resumed = killed_and_resumed(
        ["records/network-0.json"], SCRIPT, undisturbed, tmp_path, undone="classifier-0.json"
    )
    assert resumed == result(undisturbed)


def layer(resolution, relevance, **more):
    near = {"below_curve": 0.01, "null_relevance_at_equal_resolution": relevance - 0.05}
    near |= {"null_relevance_std": 0.01, "mu": 1.0, "class_kept": 0.5, "free_confidence": 0.5}
    near |= {"nearest_neighbour_accuracy": 0.9, "frechet_distance": 2.0}
    return {"resolution": resolution, "relevance": relevance, **near, **more}


def made_up_record(shift=0.0):
    best = {"nearest_neighbour_accuracy": 0.6 + shift, "frechet_distance": 1.0 + shift}
    layers = [layer(0.9, 0.2, mu=2.0), layer(0.7, 0.4, **best), layer(0.4, 0.3, mu=0.4)]
    machine = {}
    for moment, size in (("before", 0.1), ("after", 0.2)):
        spread = {"std": size, "relevance": size + shift, "entropy": 2.0}
        spread["units_apart"] = {"std": size, "relevance": 0.1, "entropy": 2.0}
        machine[moment] = {"energies": spread, "energy_std": size, "below_curve": -size}
        machine[moment]["units"] = 20
    chance = [layer(0.5, 0.1), layer(1.0, 0.0)]
    return {"network": {"layers": layers, "random_units": chance}, "machine": machine}


def verdicts_of(records):
    settings = {"data": "d", "units": [1], "epochs": 1, "seeds": len(records)}
    return [claim["verdict"] for claim in judge(records, settings).values()]


def test_verdicts_follow_from_the_records():
    records = [made_up_record(shift) for shift in (0.0, 0.01, 0.02)]
    assert verdicts_of(records) == ["reproduced"] * 3 + [CONTROL]
    for record in records:
        layers = record["network"]["layers"]
        layers[1] |= {"below_curve": 0.1, "frechet_distance": 2.0, "null_relevance_std": 0.1}
        record["machine"]["after"]["energies"]["relevance"] = 0.1
    assert verdicts_of(records) == ["partly"] * 3 + [CONTROL]
    for shift, record in enumerate(records):
        layers, after = record["network"]["layers"], record["machine"]["after"]
        layers[2] |= {"resolution": 0.8, "relevance": 0.0, "nearest_neighbour_accuracy": 0.5}
        layers[2]["frechet_distance"] = 0.5 + 0.01 * shift
        after["energies"] |= {"std": 0.0, "relevance": 0.01 * shift}
    assert verdicts_of(records) == [UNTOLD, FALSE, FALSE, CONTROL]


def test_one_network_tells_nothing_about_seeds():
    assert verdicts_of([made_up_record()])[1] == UNTOLD


def test_samples_of_one_distribution_cannot_be_told():
    a, b = np.random.default_rng(0).normal(size=[2, 400, 3])
    found = two_samples(a, b)
    assert abs(found["nearest_neighbour_accuracy"] - 0.5) < 4 * np.sqrt(0.25 / 400)
    assert min(found["precision"], found["recall"]) > 0.9
    assert two_samples(a, a + 100.0)["nearest_neighbour_accuracy"] == 1.0


def test_a_lost_mode_lowers_recall_and_not_precision():
    random = np.random.default_rng(1)
    real = random.normal(size=[400, 2]) + 20.0 * (np.arange(400) % 2)[:, None]
    found = two_samples(real, random.normal(size=[400, 2]))
    assert found["precision"] > 0.9
    assert 0.4 < found["recall"] < 0.55


def test_the_frechet_distance_is_that_of_gaussians():
    a = np.random.default_rng(2).normal(size=[50, 2])
    a = (a - a.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(a, rowvar=False))).T
    b = a * [2.0, 3.0] + [1.0, -2.0]  # unit covariance against diag(4, 9)
    assert frechet_distance(a, b) == pytest.approx(1 + 4 + (2 - 1) ** 2 + (3 - 1) ** 2)


def small_machine():
    keras.utils.set_random_seed(0)
    machine = RestrictedBoltzmannMachine(3)
    machine.build((None, 4))
    random = np.random.default_rng(0)
    machine.set_weights([random.normal(size=v.shape) for v in machine.get_weights()])
    return machine


def test_exact_energies_are_those_of_all_states_of_both_sides():
    machine = small_machine()
    kernel, visible, hidden = (
        np.asarray(v, float) for v in (machine.kernel, machine.visible_bias, machine.hidden_bias)
    )
    states, energies = exact_energies(machine)
    seen = np.array(list(itertools.product([0, 1], repeat=4)))
    joint = np.exp(seen @ kernel @ states.T + (seen @ visible)[:, None] + states @ hidden)
    np.testing.assert_allclose(np.exp(-energies), joint.sum(0) / joint.sum(), rtol=1e-5)
    assert entropy(at_entropy(energies, 1.0)) == pytest.approx(1.0, abs=1e-4)


def test_units_taken_apart_are_on_as_often():
    states, energies = exact_energies(small_machine())
    apart = units_apart(states, energies)
    assert np.exp(-apart).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(np.exp(-apart) @ states, np.exp(-energies) @ states)
    assert entropy(apart) > entropy(energies)


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
