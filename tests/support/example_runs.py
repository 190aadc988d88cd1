"""The example scripts as a user runs them: at their smallest sizes, whole, killed, resumed."""

import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def start(script: str, output_dir, *flags: str) -> subprocess.Popen:
    """A script in a process of its own."""
    command = [sys.executable, EXAMPLES / script, "--smoke", f"--output_dir={output_dir}", *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=ENVIRONMENT, text=True, **pipes)


def run(script: str, output_dir, *flags: str) -> subprocess.CompletedProcess:
    """What came of it."""
    process = start(script, output_dir, *flags)
    output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def finish(script: str, output_dir, *flags: str) -> str:
    """What it printed; it must not fail."""
    done = run(script, output_dir, *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kill_at(pattern: str, script: str, output_dir, *flags: str) -> None:
    """Kill it when its folder has a file of this pattern: a checkpoint is in mid-training."""
    process = start(script, output_dir, *flags)
    deadline = time.monotonic() + 120
    while not list(output_dir.glob(pattern)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert not (output_dir / "result.json").exists()


def result(output_dir) -> dict:
    """Its result, without the times it took."""
    content = json.loads((output_dir / "result.json").read_text())
    return {name: value for name, value in content.items() if "minutes" not in name}
