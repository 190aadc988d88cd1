"""The experiment with complexity: every claim judged, and a kill that costs nothing."""

import matplotlib.pyplot as plt
import pytest

from reproduction.frame.verdicts import UNTOLD, VERDICTS
from reproduction.weight_complexity.claims import judge
from tests.support.example_runs import finish, killed_and_resumed, result, run

SCRIPT = "reproduction/weight_complexity/run.py"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(SCRIPT, folder)
    return folder


@pytest.mark.slow
def test_judges_every_claim_and_draws_the_figure(undisturbed):
    claims = result(undisturbed)["claims"]
    assert list(claims) == [f"5-{letter}" for letter in "abcdefgh"]
    for claim in claims.values():
        assert claim["verdict"] in VERDICTS
        assert all(claim[field] for field in ("criterion", "numbers", "measured", "setting"))
    assert (undisturbed / "figure.png").stat().st_size > 10_000


@pytest.mark.slow
def test_killed_and_resumed_it_ends_the_same(undisturbed, tmp_path):
    resumed = killed_and_resumed(["records/grokking-decay_0-*.npz"], SCRIPT, undisturbed, tmp_path)
    assert resumed == result(undisturbed)


@pytest.mark.slow
def test_refuses_a_directory_with_other_settings(undisturbed):
    before = (undisturbed / "result.json").read_text()
    refused = run(SCRIPT, undisturbed, "--task=grokking")
    assert refused.returncode != 0
    assert "--output_dir must be new or hold a run with the same settings" in refused.stderr
    assert (undisturbed / "result.json").read_text() == before


@pytest.mark.slow
def test_one_experiment_is_one_panel(tmp_path):
    finish(SCRIPT, tmp_path, "--task=grokking")
    image = plt.imread(tmp_path / "figure.png")
    ink = (image[..., :3] < 0.9).any(-1)
    assert ink[:, : image.shape[1] // 2].sum() > 0.25 * ink.sum()


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--width=-1", "--modulus=1", "--grok_updates=50"])
def test_sizes_that_nothing_can_be_made_of_are_refused(flag, tmp_path):
    refused = run(SCRIPT, tmp_path / "out", flag)
    assert refused.returncode != 0
    assert f"flag {flag}: " in refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_that_never_fits_is_judged():
    row = {"test_accuracy": 1.0, "qubd_shuffled_ratio": 1.0, "qubd_ratio": 1.0}
    rows = [{"epoch": epoch, "train_accuracy": 0.98, **row} for epoch in (0, 1)]
    record = {"task": "grokking", "seed": 0, "weight_decay": 1.0, "updates_per_row": 100}
    names = ("data", "width", "modulus", "grok_width", "grok_updates", "seeds")
    judged = judge([{**record, "rows": rows}], dict.fromkeys(names, 1))
    assert judged["5-d"]["verdict"] == UNTOLD
    assert "no run fits and generalises" in judged["5-d"]["measured"]
