"""The script on random labels: judged whole, and killed and resumed to the same claims."""

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXAMPLES = os.path.join(ROOT, "examples")
ENVIRONMENT = {**os.environ, "PYTHONPATH": ROOT, "TF_CPP_MIN_LOG_LEVEL": "3"}


def command(output_dir, *flags):
    script = os.path.join(EXAMPLES, "random_labels.py")
    return [sys.executable, script, "--smoke", f"--output_dir={output_dir}", *flags]


def run(output_dir, *flags):
    return subprocess.run(
        command(output_dir, *flags), env=ENVIRONMENT, capture_output=True, text=True
    )


def result(folder):
    with open(folder / "result.json") as file:
        kept = json.load(file)
    return {name: value for name, value in kept.items() if "minutes" not in name}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    done = run(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_judges_every_claim_and_draws_the_figure(undisturbed):
    claims = result(undisturbed)["claims"]
    assert list(claims) == [f"1-{letter}" for letter in "abcdefg"]
    for claim in claims.values():
        assert claim["measured"]
        assert claim["criterion"]
    assert claims["1-b"]["verdict"] == "not run"
    assert (undisturbed / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_killed_at_a_random_moment_and_resumed_it_ends_the_same(undisturbed, tmp_path):
    process = subprocess.Popen(
        command(tmp_path), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    # From the first epoch of the first training on.
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("records/*.npz")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(random.uniform(0.0, 2.0))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "result.json").exists()
    resumed = run(tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert result(tmp_path) == result(undisturbed)


@pytest.fixture
def import_example(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module


def test_transition_and_crossing_of_a_known_column(import_example):
    betas = [0.01, 0.1, 1.0, 10.0]
    record = {
        "betas": betas,
        "size": 100,
        # Half-way from 1.0 to a tenth is 0.55, reached midway from 0.1 to 1 on a log scale.
        "accuracy": [1.0, 1.0, 0.1, 0.1],
        "crossentropy": [0.0, 0.0, np.log(10), np.log(10)],
        "information": [230.2585, 230.2585, 0.0, 0.0],
    }
    found = import_example("random_labels_transition").transition(record, {"num_classes": 10})
    assert found["beta"] == pytest.approx(10**-0.5)
    assert found["width"] == pytest.approx(0.8)
    assert found["crossing"] == pytest.approx(1.0)


def test_a_transition_that_is_not_reached_has_no_place(import_example):
    first_crossing = import_example("random_labels_transition").first_crossing
    assert np.isnan(first_crossing([0.1, 1.0], [0.0, 0.4], 0.5))
    assert np.isnan(first_crossing([0.1, 1.0], [0.6, 0.7], 0.5))
    claims = import_example("random_labels_claims")
    nothing = claims.mean_and_spread([float("nan")])
    assert claims.plain(nothing) == {"mean": None, "spread": None, "seeds": 0}
