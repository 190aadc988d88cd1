"""Write the pages that say ``notebook: true`` in their head as a notebook and as a script.

The page is the one source. The notebook has its text, its code and the outputs that it shows, which
`run_documentation.py` checks by running the code; the script has the text as comments, in the cells
(``# %%``) that editors know. Both lie beside the page.

    python tools/write_notebooks.py
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools import run_documentation as pages  # noqa: E402

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def pages_to_write() -> list[pathlib.Path]:
    """The pages that are notebooks too."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    return [path for path in found if pages.head_of(path.read_text("utf-8")).get("notebook")]


def parts_of(text: str) -> list[tuple[str, pages.Block | None]]:
    """Text and code of a page, in order: each piece of text, and the block behind it or None."""
    lines = text.splitlines()
    parts, start = [], 0
    for block in pages.blocks_of(text):
        parts.append((words_between(lines[start : block.first_line]), block))
        start = (block.shown_lines or (0, block.last_line))[1] + 1
    return [*parts, (words_between(lines[start:]), None)]


def words_between(lines: list[str]) -> str:
    """A piece of text without the settings at its top."""
    text = re.sub(r"^---\n.*?\n---\n", "", "\n".join(lines), flags=re.DOTALL)
    return text.strip()


def notebook(text: str) -> str:
    """The page as a notebook of Jupyter, format 4.5."""
    cells: list[dict] = []
    for words, block in parts_of(text):
        if words:
            cells.append({"cell_type": "markdown", "metadata": {}, "source": source(words)})
        if block is not None:
            count = 1 + sum(cell["cell_type"] == "code" for cell in cells)
            output = {"name": "stdout", "output_type": "stream", "text": source(f"{block.shown}\n")}
            cells.append(
                {
                    "cell_type": "code",
                    "execution_count": count,
                    "metadata": {},
                    "outputs": [] if block.shown is None else [output],
                    "source": source(block.code),
                }
            )
    numbered = [{"id": f"cell-{number}", **cell} for number, cell in enumerate(cells)]
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    whole = {"cells": numbered, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def source(text: str) -> list[str]:
    """Lines as a notebook keeps them, each with its end."""
    return text.splitlines(keepends=True)


def script(text: str) -> str:
    """The page as a script, with the words as comments."""
    pieces = []
    for words, block in parts_of(text):
        if words:
            comment = "\n".join(f"# {line}".rstrip() for line in words.splitlines())
            pieces.append(f"# %% [markdown]\n{comment}\n")
        if block is not None:
            pieces.append(f"# %%\n{block.code}\n")
    return "\n\n".join(pieces)


def main() -> None:
    """Write the notebook and the script of every page that asks for them."""
    for path in pages_to_write():
        text = path.read_text("utf-8")
        path.with_suffix(".ipynb").write_text(notebook(text), "utf-8")
        path.with_suffix(".py").write_text(script(text), "utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
