"""The README of the benchmarks is what its command writes, with every benchmark and its command."""

import pathlib

import pytest

from tools.write_benchmark_tables import TARGET, document

ROOT = pathlib.Path(__file__).parents[2]

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def text():
    return document()


def test_the_readme_is_what_the_command_writes(text):
    assert TARGET.read_text("utf-8") == text


def test_results_that_are_named_are_there(text):
    named = {word.strip("`,") for word in text.split() if word.startswith("`docs/results/")}
    assert len(named) > 10
    assert all((ROOT / name).is_file() for name in named)


def test_commands_are_of_benchmarks_that_are_there(text):
    commands = [line for line in text.splitlines() if line.startswith("python ")]
    assert len(commands) > 10
    for command in commands:
        assert (ROOT / command.split()[1]).is_file(), command


def test_links_lead_to_files(text):
    targets = [part.split(")")[0] for part in text.split("](")[1:]]
    assert targets
    assert all((TARGET.parent / target).is_file() for target in targets)
