"""The example scripts as a user runs them: at their smallest sizes, whole, killed, resumed."""

import json
import subprocess
import time

from tests.support.forked_scripts import ROOT, ForkedScript

EXAMPLES = ROOT / "examples"


def start(script: str, output_dir, *flags: str) -> ForkedScript:
    """A script in a process of its own."""
    return ForkedScript(EXAMPLES / script, "--smoke", f"--output_dir={output_dir}", *flags)


def run(script: str, output_dir, *flags: str) -> subprocess.CompletedProcess:
    """What came of it."""
    return start(script, output_dir, *flags).finished()


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
        assert process.poll() is None, process.finished().stderr
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.finished()
    assert not (output_dir / "result.json").exists()


def result(output_dir) -> dict:
    """Its result, without the times it took."""
    content = json.loads((output_dir / "result.json").read_text())
    return {name: value for name, value in content.items() if "minutes" not in name}
