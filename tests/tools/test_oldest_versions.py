"""Constraints of the lowest versions: each requirement at its floor, and every other pin kept."""

import pathlib
import runpy

import pytest

ROOT = pathlib.Path(__file__).parents[2]
oldest = runpy.run_path(str(ROOT / "tools" / "oldest_versions.py"))["oldest"]  # of a script
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
CONSTRAINTS = (ROOT / "constraints.txt").read_text("utf-8")


def test_requirements_are_at_their_floor_and_tools_at_their_pin():
    lines = oldest(PYPROJECT, CONSTRAINTS)
    assert "keras==3.15" in lines
    assert "tensorflow-probability==0.25" in lines
    names = [line.split("==")[0] for line in lines]
    assert len(set(names)) == len(names)
    assert "tensorboard" not in names
    pins = set(CONSTRAINTS.split())
    required = {"tensorflow", "tensorflow-probability", "tf-keras", "keras", "numpy", "absl-py"}
    assert {line for line in lines if line.split("==")[0] not in required} <= pins
    assert any(line.startswith("ruff==") for line in lines)


def test_a_requirement_without_a_floor_is_refused():
    text = '[project]\ndependencies = ["numpy"]\n'
    with pytest.raises(ValueError, match=r"lower bound\. Received: 'numpy'"):
        oldest(text, "")
