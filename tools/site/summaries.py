"""A summary table at the head of each page of the reference, from the docstrings of the package.

The line `<!-- summary -->` becomes a table of all names that the page documents, each with the
first sentence of its docstring. The source is read, not imported.
"""

import functools
import pathlib
import re

import griffe

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARK = "<!-- summary -->"
ENTRY = re.compile(r"^::: keras_infobottleneck\.(?P<name>[\w.]+)$", re.MULTILINE)


@functools.cache
def package():
    """The package, as its source says it is."""
    return griffe.load("keras_infobottleneck", search_paths=[str(ROOT)])


def summary_of(name: str) -> str:
    """The first paragraph of the docstring of a public name."""
    docstring = package()[name].docstring
    first = (docstring.value if docstring else "").split("\n\n")[0].replace("\n", " ")
    # A bar would end the cell, except inside code, where it is left alone.
    pieces = first.split("`")
    return "`".join(p if n % 2 else p.replace("|", r"\|") for n, p in enumerate(pieces))


def on_page_markdown(markdown, **_):
    """Called by MkDocs with the text of each page."""
    if MARK not in markdown:
        return markdown
    rows = ["| name | what it is for |", "| --- | --- |"]
    for name in ENTRY.findall(markdown):
        entry = f"[`{name.split('.')[-1]}`][keras_infobottleneck.{name}]"
        rows.append(f"| {entry} | {summary_of(name)} |")
    return markdown.replace(MARK, "\n".join(rows))
