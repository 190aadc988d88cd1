"""The certificate script as a user runs it: whole, killed and resumed, and with other flags."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENVIRONMENT = {**os.environ, "PYTHONPATH": ROOT, "TF_CPP_MIN_LOG_LEVEL": "3"}


def command(*flags):
    script = os.path.join(ROOT, "examples", "certificate.py")
    return [sys.executable, script, "--smoke", "--network=fcn", *flags]


def run(*flags):
    return subprocess.run(command(*flags), env=ENVIRONMENT, capture_output=True, text=True)


def measured(folder):
    """The result, without the times it took."""
    result = json.loads((folder / "result.json").read_text())
    assert result.pop("minutes")["fcn"] > 0.0
    result["networks"]["fcn"].pop("minutes")
    return result


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    done = run(f"--output_dir={folder}")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_it_certifies_on_what_the_prior_has_not_seen(undisturbed):
    folder, output = undisturbed
    network = measured(folder)["networks"]["fcn"]
    assert network["num_prior_examples"] == network["certificate"]["num_examples"] == 100
    assert network["certificate"]["num_anchoring_examples"] == 100
    assert network["certificate_of_the_prior"]["kl"] == 0.0 < network["certificate"]["kl"]
    for kind in ("certificate", "certificate_of_the_prior"):
        assert network[kind]["randomized_error"] < network[kind]["error_bound"] <= 1.0
    assert "fcn: error at most" in output
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_killed_and_resumed_it_ends_the_same(undisturbed, tmp_path):
    process = subprocess.Popen(
        command(f"--output_dir={tmp_path}"),
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # Killed in the middle of the posterior: its first epoch is written, not its last.
    deadline = time.monotonic() + 120
    while not (tmp_path / "checkpoints" / "fcn_posterior.npz").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "fcn.json").exists()
    resumed = run(f"--output_dir={tmp_path}")
    assert resumed.returncode == 0, resumed.stderr
    assert measured(tmp_path) == measured(undisturbed[0])


def test_other_flags_and_bad_files_end_with_one_sentence(undisturbed, tmp_path):
    folder, _ = undisturbed
    refused = run(f"--output_dir={folder}", "--shift=2")
    assert refused.returncode != 0
    assert "other flags" in refused.stderr.splitlines()[-1]
    refused = run(f"--output_dir={tmp_path / 'out'}", f"--data={tmp_path / 'none.npz'}")
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith("certificate.py: The data file must exist. Received: ")
    assert not (tmp_path / "out").exists()
