"""Sections and tables in Markdown, from the files in `docs/results`."""

import json
import pathlib
import statistics
from collections.abc import Iterable

__all__ = ["is_there", "read", "section", "spread", "table"]

RESULTS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "results"


def is_there(name: str) -> bool:
    """Whether a file of results is kept."""
    return (RESULTS / f"{name}.json").exists()


def read(name: str) -> dict:
    """A file of results."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def table(head: Iterable, rows: Iterable[Iterable]) -> str:
    """A table; rows are of anything that can be printed."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def section(title: str, commands: list[str], results: list[str], *parts: str) -> str:
    """A heading, the commands that measured, where the numbers are, and then the parts."""
    files = ", ".join(f"`docs/results/{name}.json`" for name in results)
    shell = "\n".join(commands)
    return "\n".join([f"## {title}\n", f"```bash\n{shell}\n```\n", f"{files}\n", *parts])


def spread(values: list[float], digits: int = 4) -> str:
    """Mean and standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {deviation:.{digits}f}"
