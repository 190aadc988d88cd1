"""A page that is a notebook and a script too agrees with both."""

import json

import pytest

from tools import run_documentation as pages
from tools import write_notebooks as notebooks

pytestmark = pytest.mark.quick

PAGES = [pytest.param(path, id=path.stem) for path in notebooks.pages_to_write()]


def test_ten_minutes_is_one_of_them():
    assert "ten_minutes" in [path.stem for path in notebooks.pages_to_write()]


@pytest.mark.parametrize("path", PAGES)
def test_the_files_are_those_that_the_page_gives(path):
    text = path.read_text("utf-8")
    again = "run tools/write_notebooks.py"
    assert path.with_suffix(".ipynb").read_text("utf-8") == notebooks.notebook(text), again
    assert path.with_suffix(".py").read_text("utf-8") == notebooks.script(text), again


@pytest.mark.parametrize("path", PAGES)
def test_every_block_and_its_output_is_a_cell(path):
    blocks = pages.blocks_of(path.read_text("utf-8"))
    cells = json.loads(path.with_suffix(".ipynb").read_text("utf-8"))["cells"]
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    assert ["".join(cell["source"]) for cell in codes] == [block.code for block in blocks]
    printed = ["".join(part for out in cell["outputs"] for part in out["text"]) for cell in codes]
    assert printed == [f"{block.shown}\n" if block.shown else "" for block in blocks]
    assert [cell["execution_count"] for cell in codes] == list(range(1, len(blocks) + 1))


@pytest.mark.parametrize("path", PAGES)
def test_the_script_has_the_code_of_the_page_and_nothing_else(path):
    script = path.with_suffix(".py").read_text("utf-8")
    code = [line for line in script.splitlines() if line and not line.startswith("#")]
    blocks = "\n".join(block.code for block in pages.blocks_of(path.read_text("utf-8")))
    assert code == [line for line in blocks.splitlines() if line]
    compile(script, path.stem, "exec")


@pytest.mark.parametrize("path", PAGES)
def test_jupyter_can_read_the_notebook(path):
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.read(path.with_suffix(".ipynb"), as_version=4))


def test_text_and_code_come_in_order_and_settings_are_left_out():
    page = "---\nnotebook: true\n---\n# A\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\nB\n"
    assert [words for words, _ in notebooks.parts_of(page)] == ["# A", "B"]
    assert notebooks.script(page).splitlines() == [
        *("# %% [markdown]", "# # A", "", "", "# %%", "print(1)", "", "", "# %% [markdown]", "# B"),
    ]
