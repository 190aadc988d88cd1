import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CLAIMS = [f"5-{letter}" for letter in "abcdefgh"]


def command(output_dir, *flags):
    script = ROOT / "examples" / "weight_complexity.py"
    return [sys.executable, str(script), "--smoke", f"--output_dir={output_dir}", *flags]


def run(output_dir, *flags):
    return subprocess.run(
        command(output_dir, *flags), cwd=ROOT, env=environment(), capture_output=True, text=True
    )


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def claims_of(output_dir):
    return json.loads((output_dir / "result.json").read_text())["claims"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("undisturbed")
    finished = run(output_dir)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines()[-1].startswith("RESULT ")
    return output_dir


def test_judges_every_claim_and_draws_the_figure(undisturbed):
    claims = claims_of(undisturbed)
    assert list(claims) == CLAIMS
    for claim in claims.values():
        assert claim["verdict"] in ("reproduced", "partly", "not reproduced", "not run")
        assert all(claim[field] for field in ("criterion", "numbers", "measured", "setting"))
    assert (undisturbed / "figure.png").stat().st_size > 10_000


def test_killed_and_started_again_it_ends_with_the_result_of_the_undisturbed_run(
    undisturbed, tmp_path
):
    process = subprocess.Popen(
        command(tmp_path),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 120
    # In the middle of a grokking run, which goes on from its checkpoint.
    while not list(tmp_path.glob("records/grokking*.npz")) and process.poll() is None:
        assert time.time() < deadline, "no checkpoint appeared"
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "result.json").exists()
    finished = run(tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "done before" in finished.stdout
    assert claims_of(tmp_path) == claims_of(undisturbed)


def test_refuses_a_directory_with_other_settings(undisturbed):
    before = (undisturbed / "result.json").read_text()
    finished = run(undisturbed, "--task=grokking")
    assert finished.returncode != 0
    assert "--output_dir must be new or hold a run with the same settings" in finished.stderr
    assert (undisturbed / "result.json").read_text() == before
