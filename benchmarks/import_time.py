"""What importing the package costs over importing Keras, which it imports too.

Every import is timed in a process of its own, from the first line of a started interpreter; Keras
and the package take turns, and medians count. The first round, which may have to read the disk, is
left out. Processor seconds vary less than seconds where a machine has other work. About five
seconds a round.

  python benchmarks/import_time.py --output docs/results/import_time.json
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 11, "Rounds that count.", 1)
flags.DEFINE_integer("warm_up", 1, "Rounds before them, which do not count.", 0)
flags.DEFINE_string("output", None, "A JSON file for the results.")

ROOT = pathlib.Path(__file__).parents[1]
KERAS, PACKAGE = "keras", "keras_infobottleneck"
TIMED = """
import time
clock, processor = time.perf_counter(), time.process_time()
import {name}
spent = time.perf_counter() - clock, time.process_time() - processor
import json, sys
files = sum(name.split(".")[0] == {name!r} for name in sys.modules)
print(json.dumps([*spent, files]))
"""


def timed(name):
    """Seconds and processor seconds of one import, and the number of its own files."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", TIMED.format(name=name)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def compared():
    """Medians by what is imported, and what the package adds as a share of Keras."""
    count = FLAGS.warm_up + FLAGS.rounds
    rounds = [{name: timed(name) for name in (KERAS, PACKAGE)} for _ in range(count)]
    found = {}
    for place, unit in enumerate(("seconds", "processor_seconds")):
        columns = {
            name: [row[name][place] for row in rounds[FLAGS.warm_up :]] for name in (KERAS, PACKAGE)
        }
        medians = {name: statistics.median(column) for name, column in columns.items()}
        found[unit] = {
            **{name: round(median, 4) for name, median in medians.items()},
            "package_over_keras": round(medians[PACKAGE] / medians[KERAS] - 1, 4),
        }
    files = sum(1 for _ in (ROOT / PACKAGE).rglob("*.py"))
    return {
        "rounds": FLAGS.rounds,
        **found,
        "files_imported": rounds[-1][PACKAGE][2],
        "files_of_the_package": files,
        "load_average": round(os.getloadavg()[0], 2),
    }


def main(_):
    """Prints the comparison, and writes it."""
    found = compared()
    for unit in ("seconds", "processor_seconds"):
        row = found[unit]
        print(
            f"{unit.replace('_', ' '):18} {KERAS} {row[KERAS]:.3f}  {PACKAGE} {row[PACKAGE]:.3f}  "
            f"the package adds {row['package_over_keras']:.1%}"
        )
    print(f"{found['files_imported']} of {found['files_of_the_package']} files are imported")
    print(f"load average {found['load_average']}")
    if FLAGS.output:
        with open(FLAGS.output, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    app.run(main)
