"""Constraints with the lowest versions that `pyproject.toml` allows, for a run of the tests.

    python tools/oldest_versions.py          # prints them
    python tools/oldest_versions.py --write  # into constraints.txt

What the package itself requires gets its lower bound; TensorBoard goes with TensorFlow. Tools, such
as pytest and ruff, keep the versions of `constraints.txt`.
"""

import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[\w,]+\])?>=(?P<version>[\w.]+)")
# Packages whose version follows from that of another.
FOLLOWING = {"tensorboard"}


def oldest(pyproject: str, constraints: str) -> list[str]:
    """Lines of constraints, from the texts of the two files."""
    floors = {}
    for requirement in tomllib.loads(pyproject)["project"]["dependencies"]:
        found = REQUIREMENT.fullmatch(requirement)
        if found is None:
            raise ValueError(f"A requirement must have a lower bound. Received: {requirement!r}")
        floors[found["name"]] = found["version"]
    pins = [line for line in constraints.split() if line]
    kept = [line for line in pins if line.split("==")[0] not in floors.keys() | FOLLOWING]
    return [*(f"{name}=={version}" for name, version in floors.items()), *kept]


def main() -> None:
    """Print the lines, or write them."""
    path = ROOT / "constraints.txt"
    lines = oldest((ROOT / "pyproject.toml").read_text("utf-8"), path.read_text("utf-8"))
    text = "\n".join(lines) + "\n"
    if sys.argv[1:] == ["--write"]:
        path.write_text(text, "utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
