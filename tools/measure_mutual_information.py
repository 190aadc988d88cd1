"""Holds `mutual_information` to forty tasks whose truth is known, method by method.

    python tools/measure_mutual_information.py

For each task and method the estimate, its error, its null, what it gives on the pairs it trained
on, and its flags, beside the truth. Writes `docs/results/mutual_information.json` and the table
`docs/mutual_information_tasks.md`. About an hour of one core; what is finished is kept, so that an
interrupted run goes on.
"""

import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags
from mutual_information_tasks import TASKS

from keras_infobottleneck.estimators import mutual_information

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results" / "mutual_information.json"
PAGE = ROOT / "docs" / "mutual_information_tasks.md"
METHODS = ("ksg", "infonce", "nwj", "smile", "knife")
NUM_EXAMPLES = flags.DEFINE_integer("num_examples", 3000, "Pairs of each task.", 100)
ONLY = flags.DEFINE_list("methods", list(METHODS), "Methods to run.")
NUM_EPOCHS = 50  # at most
TOLERANCE = 0.1  # of the truth, beside two standard errors


def measured(task, number: int, method: str) -> dict:
    """One estimate, with everything that the result says about itself."""
    z, x = task.draw(np.random.default_rng(number), NUM_EXAMPLES.value)
    start = time.process_time()
    options = {"num_folds": 2, "epochs": NUM_EPOCHS, "seed": number}
    found = mutual_information(z, x, method=method, **options)
    seconds = time.process_time() - start
    kept = ("nats", "standard_error", "null", "train_nats", "cap", "flags")
    row = {key: value for key, value in found.to_dict().items() if key in kept}
    row = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}
    return {**row, "cpu_seconds": round(seconds, 1)}


def is_close(row: dict, truth: float) -> bool:
    """Within a tenth of the truth and two standard errors, where the error tells something."""
    error = row["standard_error"]
    return error < truth and abs(row["nats"] - truth) <= TOLERANCE * truth + 2.0 * error


def page(rows: dict, num_examples: int) -> str:
    """The table, in Markdown."""
    lines = [
        "# Mutual information: forty tasks whose truth is known",
        "",
        "Every method of `mutual_information` on the forty tasks of Czyż et al. (2023): "
        f"{num_examples:,} pairs each, two folds, at most {NUM_EPOCHS} epochs.",
        "A number in bold is further from the truth than a tenth of it and two standard errors,",
        "or has an error larger than the truth. An asterisk says that the result has a flag.",
        "Monotone maps of a coordinate change nothing here, because coordinates are read by",
        "their ranks; each task has pairs of its own. `infonce` and `nwj` are lower bounds, and",
        "`ksg` is low in many dimensions: what is far is nearly always too low.",
        "",
        "`python tools/measure_mutual_information.py` writes this page.",
        "",
    ]
    shown = {task.name: rows[task.name] for task in TASKS if task.name in rows}
    methods = [method for method in METHODS if all(method in row for row in shown.values())]
    lines += [f"| task | truth | {' | '.join(methods)} |", "| --- " * (2 + len(methods)) + "|"]
    for task in TASKS:
        if task.name in shown:
            cells = [cell(shown[task.name].get(method), task.truth) for method in methods]
            lines.append(f"| {task.name} | {task.truth:.2f} | {' | '.join(cells)} |")
    lines.append(f"| **near the truth** | | {' | '.join(map(str, counts(shown, methods)))} |")
    lines.append(
        f"| **far, with a flag** | | {' | '.join(map(str, counts(shown, methods, True)))} |"
    )
    lines.append(
        f"| **far, without a flag** | | {' | '.join(map(str, counts(shown, methods, False)))} |"
    )
    return "\n".join(lines) + "\n"


def cell(row: dict | None, truth: float) -> str:
    """The estimate, bold if it is far, with an asterisk if it has a flag."""
    if row is None:
        return "-"
    text = f"{row['nats']:.2f}{'*' if row['flags'] else ''}"
    return text if is_close(row, truth) else f"**{text}**"


def counts(shown: dict, methods: list[str], flagged: bool | None = None) -> list[str]:
    """For each method, tasks near the truth (None), or far from it with or without a flag."""
    truths = {task.name: task.truth for task in TASKS}
    texts = []
    for method in methods:
        own = [(rows[method], truths[name]) for name, rows in shown.items() if method in rows]
        if flagged is None:
            number = sum(is_close(row, truth) for row, truth in own)
        else:
            far = [row for row, truth in own if not is_close(row, truth)]
            number = sum(bool(row["flags"]) == flagged for row in far)
        texts.append(f"{number} of {len(own)}")
    return texts


def main(_):
    """Runs what is not done yet and writes results and page."""
    kept = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    settings: dict = {"command": "python tools/measure_mutual_information.py"}
    settings |= {"num_examples": NUM_EXAMPLES.value, "num_folds": 2, "epochs": NUM_EPOCHS}
    rows = kept.get("rows", {}) if kept.get("num_examples") == NUM_EXAMPLES.value else {}
    for method in ONLY.value:
        for number, task in enumerate(TASKS):
            row = rows.setdefault(task.name, {"truth": task.truth})
            if method not in row:
                row[method] = measured(task, number, method)
                print(f"{method:8} {task.name}: {row[method]['nats']:.3f} ({task.truth:.3f})")
            text = json.dumps({**settings, "rows": rows}, indent=1)
            RESULTS.write_text(text + "\n", "utf-8")
        PAGE.write_text(page(rows, NUM_EXAMPLES.value), "utf-8")


if __name__ == "__main__":
    app.run(main)
