"""Every page of the documentation runs, and shows what its code prints."""

import pathlib
import re

import keras
import pytest

import keras_infobottleneck as kib
from tests.support import forked_scripts
from tools import run_documentation as pages

ROOT = pathlib.Path(__file__).parents[2]


def pages_with_code():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text("utf-8")
        if any(not block.skipped for block in pages.blocks_of(text)):
            slow = pages.head_of(text).get("slow") == "true"
            marks = [pytest.mark.slow] if slow else []
            yield pytest.param(path, id=str(path.relative_to(ROOT)), marks=marks)


@pytest.mark.parametrize("path", list(pages_with_code()))
def test_a_page_shows_what_its_code_prints(path):
    text = path.read_text("utf-8")
    if "own_process" in pages.head_of(text):
        done = forked_scripts.run(ROOT / "tools" / "run_documentation.py", path)
        assert done.returncode == 0, done.stdout + done.stderr
        return
    keras.backend.clear_session()
    found = pages.check(text, path.name)
    assert not found, "\n".join(found)


@pytest.mark.quick
def test_the_readme_is_one_page_with_doors_that_open():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 110
    assert len(text.split()) <= 900
    doors = set(re.findall(r"\]\(([\w./]+)\)", text))
    assert len(doors) > 8
    for door in doors:
        assert (ROOT / door).is_file(), door


def page(output, code="print('nats', 12.0)"):
    return f"# Title\n\n```python\n{code}\n```\n\n```text\n{output}\n```\n"


@pytest.mark.quick
@pytest.mark.parametrize("output", ["nats 12.0", "nats 12.5", "nats 11.6", "nats    12.0"])
def test_numbers_agree_within_the_tolerance(output):
    assert not pages.check(page(output), "page")


@pytest.mark.quick
@pytest.mark.parametrize("output", ["bits 12.0", "nats 13.0", "nats 11.0", "nats 12.0\nmore", ""])
def test_another_word_number_or_line_is_found(output):
    assert pages.check(page(output), "page")


@pytest.mark.quick
def test_whole_numbers_have_no_last_digit_to_spare():
    assert pages.check(page("2", "print(3)"), "page")
    assert not pages.check(page("0.2", "print(0.3)"), "page")  # one unit of the last digit


@pytest.mark.quick
def test_output_that_a_page_does_not_show_is_found():
    assert "does not show" in pages.check("```python\nprint(1)\n```\n", "page")[0]


@pytest.mark.quick
def test_a_page_is_one_namespace_and_errors_have_its_line_numbers():
    text = "```python\na = 1\n```\n\nwords\n\n```python\nassert a == 1\nraise ValueError(a)\n```\n"
    with pytest.raises(ValueError, match="1") as caught:
        pages.check(text, "page")
    assert caught.traceback[-1].lineno + 1 == 9


@pytest.mark.quick
def test_a_skipped_block_says_why_and_does_not_run():
    assert not pages.check("```python skip needs a GPU\n1 / 0\n```\n", "page")
    with pytest.raises(ValueError, match="says why"):
        pages.blocks_of("```python skip\n1 / 0\n```\n")


@pytest.mark.quick
def test_a_block_of_calls_runs_and_other_commands_do_not():
    text = (
        "```bash\nkib --version\nkib --help | head -n 1\n```\n\n```bash\nrm -rf everything\n```\n"
    )
    (block,) = pages.blocks_of(text)
    shown = f"{kib.__version__}\nusage: kib COMMAND ... [flags]"
    assert pages.outputs_of([block], "page") == [shown]
    assert not pages.check(f"```bash\n{block.code}\n```\n\n```text\n{shown}\n```\n", "page")
    with pytest.raises(ValueError, match="ended with 2: kib: the command must be"):
        pages.check("```bash\nkib frobnicate\n```\n", "page")


@pytest.mark.quick
def test_rewriting_puts_the_printed_output_behind_the_code():
    before = "```python\nprint(1)\n```\n\nwords\n\n```python\nprint(2)\n```\n\n```text\n3\n```\n"
    after = pages.rewritten(before, "page")
    assert [block.shown for block in pages.blocks_of(after)] == ["1", "2"]
    assert pages.rewritten(after, "page") == after
    assert not pages.check(after, "page")
