"""The script as a user runs it, and what it judges with."""

import json

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

from reproduction.frame import all_cnn
from reproduction.frame.verdicts import UNTOLD
from reproduction.small_networks.claims import AUTHORS_DROPOUT, judge
from reproduction.small_networks.figure import draw
from tests.support.example_runs import finish, kill_at, killed_and_resumed, result, run

SCRIPT = "reproduction/small_networks/run.py"
METHODS = ("none", "dropout", "log_uniform", "log_normal")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(SCRIPT, folder)
    return folder


@pytest.mark.slow
def test_it_chooses_trains_judges_and_draws(undisturbed):
    report = result(undisturbed)
    assert list(report["claims"]) == ["2-a"]
    runs = [(record["method"], record["width"]) for record in report["records"]]
    assert runs == [
        (method, width) for method in (*METHODS, AUTHORS_DROPOUT) for width in (0.5, 1.0)
    ]
    tried = {float(k): v for k, v in report["held_out_errors"]["dropout"].items()}
    assert report["chosen"]["dropout"] == min(tried, key=tried.get)
    assert (undisturbed / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_one_seed_has_no_standard_error_to_judge_by(tmp_path):
    refused = run(SCRIPT, tmp_path / "out", "--seeds=1")
    assert refused.returncode != 0
    assert "--seeds=1" in refused.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_killed_and_resumed_it_ends_the_same(undisturbed, tmp_path):
    resumed = killed_and_resumed(["records/log_uniform-0.5-*.npz"], SCRIPT, undisturbed, tmp_path)
    assert resumed == result(undisturbed)


@pytest.mark.slow
def test_photographs_are_seen_in_sixteen_pixels(tmp_path):
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (180, 32, 32, 3), np.uint8), np.arange(180) % 10
    np.savez(tmp_path / "photographs.npz", x_train=x, y_train=y, x_test=x[:60], y_test=y[:60])
    kill_at("settings.json", SCRIPT, tmp_path, f"--data={tmp_path / 'photographs.npz'}")
    assert json.loads((tmp_path / "settings.json").read_text())["side"] == 16


@pytest.mark.parametrize("noise", METHODS)
def test_a_network_is_noisy_in_its_strided_layers_alone(noise):
    model = all_cnn.build((8, 8, 1), [[3, 4], [5, 6]], [7, 8], 10, noise=noise, strength=0.5)
    x = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    assert model(x).shape == (2, 10)
    drawing = [type(layer).__name__ for layer in model.layers]
    assert drawing.count("InformationDropout") == 2 * (noise in ("log_uniform", "log_normal"))
    assert drawing.count("Dropout") == 2 * (noise == "dropout")
    filters = [w.shape[-1] for w in model.trainable_weights if len(w.shape) == 4]
    twins = [4, 6] if "log" in noise else []
    assert sorted(filters) == sorted([3, 4, 5, 6, 7, 8, 10, *twins])
    np.testing.assert_array_equal(model(x), model(x))
    drawn = [keras.ops.convert_to_numpy(model(x, training=True)) for _ in range(2)]
    assert np.array_equal(*drawn) == (noise == "none")


def test_the_figure_shows_differences_however_large_the_errors(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "close", lambda figure: shown.extend(figure.axes[0].get_ylim()))
    widths = {0.25: 0.68, 1.0: 0.6}
    records = [{"method": "none", "width": w, "seed": 0, "error": e} for w, e in widths.items()]
    draw(records, tmp_path / "figure.png")
    low, high = shown
    assert 55 < low < 60 < 68 < high < 73


def test_verdict_follows_from_the_records():
    settings = {"data": "d", "blocks": [[1]], "epochs": 1, "seeds": 5}
    random = np.random.default_rng(0)

    def verdict(small, large):
        """Of errors of the log-uniform network that are less than those of dropout by so much."""
        records = []
        for seed in range(5):
            for width, gain in ((0.25, small), (1.0, large)):
                error = 0.2 + 0.05 * random.random()
                less = gain + 0.001 * random.random()
                errors = {
                    "dropout": error,
                    AUTHORS_DROPOUT: error,
                    "log_uniform": error - less,
                    "log_normal": 1.0,
                }
                records += [
                    {"method": method, "width": width, "seed": seed, "error": error}
                    for method, error in errors.items()
                ]
        return judge(records, settings, 100, {"dropout": 0.5})["2-a"]["verdict"]

    assert verdict(0.1, 0.02) == "reproduced"
    assert verdict(0.02, 0.1) == "partly"
    assert verdict(0.1, -0.02) == UNTOLD


def test_the_tuned_rate_is_judged_beside_the_authors():
    records = [
        {"method": method, "width": width, "seed": seed, "error": error + 0.001 * seed * width}
        for seed in range(5)
        for width, gain in ((0.25, 0.2), (1.0, 0.01))
        for method, error in {
            AUTHORS_DROPOUT: 0.1 + gain,
            "dropout": 0.05,
            "log_uniform": 0.1,
            "log_normal": 0.1,
        }.items()
    ]
    settings = {"data": "d", "blocks": [[1]], "epochs": 1, "seeds": 5}
    claim = judge(records, settings, 100, {"dropout": 0.1})["2-a"]
    assert claim["verdict"] == "reproduced"
    assert claim["before"]["verdict"] == UNTOLD
