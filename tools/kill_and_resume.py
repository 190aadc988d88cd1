"""Kill every resumable script three times at random moments, and see that it ends the same.

Each script is run at its smallest sizes (``--smoke``): undisturbed, then again with three SIGKILLs
at random moments of its work, started anew after each. Its result (without the times it took) and
its figures, byte by byte, must be those of the undisturbed run. Moments are whole seconds of
processor time, at which the system kills: on a busy machine the clock says nothing. From the root
of the tree:

    python tools/kill_and_resume.py
    python tools/kill_and_resume.py --scripts=occlusions,certificate --seed=1

One line for each script; all of it in ``docs/results/killed_and_resumed.json``, where scripts that
are not named keep their entries. Takes some ten minutes for all of them.
"""

import json
import math
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import app, flags

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
# By name, the quickstart and every experiment on data; the identities train nothing.
RESUMABLE = {
    "quickstart": EXAMPLES / "quickstart.py",
    **{
        path.parent.name: path
        for path in sorted((EXAMPLES / "reproduction").glob("*/run.py"))
        if "data=False" not in path.read_text("utf-8")
    },
}
TRIALS = 5  # a run may end before its third kill, when all three come late

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "scripts", sorted(RESUMABLE), "The quickstart, or folders in examples/reproduction/."
)
flags.DEFINE_integer("kills", 3, "Kills of each script.", 1)
flags.DEFINE_integer("seed", 0, "Seed of the moments.", 0)
flags.DEFINE_string(
    "output", str(ROOT / "docs" / "results" / "killed_and_resumed.json"), "Where that is written."
)


def main(argv):
    """Try every script; write what was seen."""
    del argv
    output = Path(FLAGS.output)
    seen = json.loads(output.read_text("utf-8")) if output.exists() else {}
    for script in FLAGS.scripts:
        # A generator of its own: the moments do not depend on which other scripts are named.
        seen[script] = tried(script, random.Random(f"{script} {FLAGS.seed}"))
        print(f"{script}: {json.dumps(seen[script])}", flush=True)
        output.write_text(json.dumps(dict(sorted(seen.items())), indent=1) + "\n", "utf-8")
    if not all(seen[script]["ended_the_same"] for script in FLAGS.scripts):
        sys.exit("kill_and_resume.py: not all ended the same.")


def tried(script: str, moments: random.Random) -> dict:
    """One script: how long it works, when it was killed, and whether it ended the same."""
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = Path(folder, "undisturbed")
        starting = processor_seconds(script, "--help")
        working = processor_seconds(script, *smoke(undisturbed)) - starting
        for trial in range(TRIALS):
            output_dir = Path(folder, f"killed_{trial}")
            shares = sorted(moments.uniform(0, 0.9) for _ in range(FLAGS.kills))
            waits = [b - a for a, b in zip([0, *shares], shares, strict=False)]
            if all(killed(script, output_dir, starting + wait * working) for wait in waits):
                break
        else:
            sys.exit(f"kill_and_resume.py: {script} ended before it was killed, {TRIALS} times.")
        start(script, *smoke(output_dir)).wait()
        figures = sorted(path.name for path in undisturbed.glob("*.png"))
        same = result(output_dir) == result(undisturbed) and all(
            (output_dir / name).read_bytes() == (undisturbed / name).read_bytes()
            for name in figures
        )
        return {
            "seconds": round(working, 1),
            "killed_at": [round(share * working, 1) for share in shares],
            "compared": ["result.json", *figures],
            "ended_the_same": same,
        }


def smoke(output_dir: Path) -> list[str]:
    """The flags of a run."""
    return ["--smoke", f"--output_dir={output_dir}"]


def start(script: str, *given: str, limit: int | None = None) -> subprocess.Popen:
    """The script in a process of its own, killed after `limit` seconds of processor time."""
    return subprocess.Popen(
        [sys.executable, os.fspath(RESUMABLE[script]), *given],
        env={**os.environ, "PYTHONPATH": os.fspath(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=limit and (lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))),
    )


def processor_seconds(script: str, *given: str) -> float:
    """What it takes from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start(script, *given).wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def killed(script: str, output_dir: Path, seconds: float) -> bool:
    """Whether it was killed after so many seconds, and not at its end before."""
    return start(script, *smoke(output_dir), limit=math.ceil(seconds)).wait() == -signal.SIGKILL


def result(output_dir: Path) -> dict:
    """What it wrote, without the times it took."""
    content = json.loads((output_dir / "result.json").read_text("utf-8"))
    return {name: value for name, value in content.items() if "minutes" not in name}


if __name__ == "__main__":
    app.run(main)
