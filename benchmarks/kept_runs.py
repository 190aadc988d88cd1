"""Runs of a benchmark in one JSON file, so that the same command goes on where it was."""

import json
import pathlib
from collections.abc import Callable


def open_report(output_dir: str, name: str, settings: dict) -> tuple[dict, Callable[[], None]]:
    """The report of the file, with its `runs` or none yet, and what writes it.

    Raises:
        SystemExit: the file holds runs with other settings.
    """
    output = pathlib.Path(output_dir) / name
    output.parent.mkdir(parents=True, exist_ok=True)
    report = {**settings, "runs": {}}
    if output.exists():
        kept = json.loads(output.read_text("utf-8"))
        if kept | {"runs": {}} != report:
            raise SystemExit(f"{output} holds runs with other settings: choose another output_dir")
        report = kept
    return report, lambda: output.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
