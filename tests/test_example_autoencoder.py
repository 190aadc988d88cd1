"""The experiment with autoencoders: verdicts, figures, and a kill that costs nothing."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def command(output_dir, *flags):
    script = ROOT / "examples" / "autoencoder.py"
    return [sys.executable, str(script), "--smoke", f"--output_dir={output_dir}", *flags]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def run(output_dir, *flags):
    return subprocess.run(
        command(output_dir, *flags), cwd=ROOT, env=environment(), capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("undisturbed")
    start = time.time()
    finished = run(output_dir)
    assert finished.returncode == 0, finished.stderr
    return output_dir, time.time() - start


def claims(output_dir):
    return json.loads((output_dir / "result.json").read_text())["claims"]


def test_judges_its_claims_and_draws(undisturbed):
    output_dir, _ = undisturbed
    assert list(claims(output_dir)) == ["2-d", "2-e"]
    for name in ("autoencoder.png", "autoencoder_pictures.png"):
        assert 5_000 < (output_dir / name).stat().st_size < 150_000


def test_the_gaussian_autoencoder_is_the_special_case(undisturbed):
    claim = claims(undisturbed[0])["2-e"]
    assert claim["verdict"] == "reproduced"
    assert all(0 <= d < 1e-4 for when in claim["numbers"].values() for d in when.values())


def test_killed_at_a_random_moment_it_ends_with_the_same_claims(undisturbed, tmp_path):
    expected, seconds = undisturbed
    process = subprocess.Popen(
        command(tmp_path), cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL
    )
    time.sleep(random.Random().uniform(0.5, 0.9) * seconds)
    process.kill()
    process.wait()
    finished = run(tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert claims(tmp_path) == claims(expected)


def test_refuses_a_folder_of_other_settings(undisturbed, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    from experiment import Experiment

    settings = json.loads((undisturbed[0] / "settings.json").read_text())
    Experiment(undisturbed[0], settings)
    with pytest.raises(ValueError, match="a run with the same settings"):
        Experiment(undisturbed[0], settings | {"epochs": 4})


def test_noise_added_is_the_share_of_every_units_variance_that_was_asked_for(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    from autoencoder import with_noise

    means = np.random.default_rng(0).standard_normal((40_000, 2)) * [1.0, 5.0]
    noisy = with_noise(means, 0.3, seed=1)
    kept = [np.corrcoef(means[:, i], noisy[:, i])[0, 1] ** 2 for i in range(2)]
    np.testing.assert_allclose(kept, 0.7, atol=4 * 2 * 0.3 * np.sqrt(0.7 / 40_000))
    np.testing.assert_allclose(noisy.var(axis=0), 1.0, atol=0.03)
