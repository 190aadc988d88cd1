"""The example scripts as a user runs them: at their smallest sizes, whole, killed, resumed."""

import json
import pathlib
import shutil
import subprocess
import time
from collections.abc import Sequence

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


def killed_and_resumed(
    at: Sequence[str], script: str, undisturbed, output_dir, *flags: str, undone: str = ""
) -> dict:
    """The result of a script that was killed when its folder had these files, and went on.

    The records that it was killed in and the one that is `undone` are its own. All others are those
    of the undisturbed run, as if they had been done before.
    """
    own = [pathlib.PurePath(pattern).with_suffix(".json").name for pattern in at]
    left_out = shutil.ignore_patterns("result.json", *own, undone)
    shutil.copytree(undisturbed, output_dir, ignore=left_out, dirs_exist_ok=True)
    for pattern in at:
        kill_at(pattern, script, output_dir, *flags)
    kept = list((output_dir / "records").glob("*.json"))
    assert finish(script, output_dir, *flags).count(": done before") >= len(kept)
    return result(output_dir)


def result(output_dir) -> dict:
    """Its result, without the times it took."""
    content = json.loads((output_dir / "result.json").read_text())
    return {name: value for name, value in content.items() if "minutes" not in name}
