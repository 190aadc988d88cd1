"""The reference has an entry for every public name, and its docstrings can be read."""

import ast
import importlib
import inspect
import pathlib
import re

import pytest

import keras_infobottleneck as kib

ROOT = pathlib.Path(__file__).parents[2]
ENTRY = re.compile(r"^::: (?P<place>keras_infobottleneck[\w.]*)\.(?P<name>\w+)$", re.MULTILINE)
ROOMS = ("auditing", "callbacks", "distributions", "estimators", "layers", "models", "plots")

pytestmark = pytest.mark.quick


def public_names():
    """Every public class and function, by the name under which a user finds it."""
    places = [kib, *(importlib.import_module(f"{kib.__name__}.{room}") for room in ROOMS)]
    for place in places:
        for name in place.__all__:
            value = getattr(place, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{place.__name__}.{name}", value


def entries():
    """What the pages of the reference document, by page."""
    for page in sorted((ROOT / "docs" / "reference").glob("*.md")):
        for place, name in ENTRY.findall(page.read_text("utf-8")):
            yield page.name, getattr(importlib.import_module(place), name)


def test_every_public_name_has_an_entry():
    documented = {id(value) for _, value in entries()}
    missing = [name for name, value in public_names() if id(value) not in documented]
    assert not missing, f"put them on a page of docs/reference: {missing}"


def test_no_name_has_two_entries():
    found = [id(value) for _, value in entries()]
    assert len(found) == len(set(found)) > 90


def test_every_page_with_entries_begins_with_a_summary():
    for page in sorted((ROOT / "docs" / "reference").glob("*.md")):
        text = page.read_text("utf-8")
        assert not ENTRY.search(text) or text.index("<!-- summary -->") < ENTRY.search(text).start()


SECTION = re.compile(r"^( *)(?:Args|Attributes|Raises|Yields):\n((?:\1 +.*\n|\n)+)", re.MULTILINE)


def stray_lines(docstring):
    """Lines that begin an entry of a section and have no name: a site without them is not built."""
    for indent, entries in SECTION.findall(docstring + "\n"):
        for line in re.findall(rf"^{indent}    \S.*$", entries, re.MULTILINE):
            if not re.match(r" *[\w*, ]+(\([^)]*\))?:( |$)", line):
                yield line


def test_every_entry_of_a_section_has_a_name():
    assert list(stray_lines("Args:\n    x: A\n    number.\n    y: Another\n        one.")) == [
        "    number."
    ]
    for path in sorted((ROOT / "keras_infobottleneck").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Module):
                stray = list(stray_lines(inspect.cleandoc(ast.get_docstring(node) or "")))
                assert not stray, f"{path.name}: {getattr(node, 'name', 'module')}: {stray}"


# Functions of the pages with formulas that compute none: they make, convert, draw or read.
WITHOUT_FORMULA = {
    *("make_variational", "make_deterministic", "compress", "decompress", "drawing"),
    *("recalibrate_batch_normalization", "register_rule", "standard_normal", "random_signs"),
    *("truncated_normal", "hidden_states", "resolution_relevance_of_counts"),
    *("layer_multiscale_relevance",),
}


@pytest.mark.parametrize(
    "name",
    [
        *("activations", "boltzmann", "certificates", "coding", "complexity", "distributions"),
        *("fisher", "geometry", "influence", "information", "layers", "models", "relevance"),
    ],
)
def test_every_quantity_has_its_formula_before_the_entries(name):
    text = (ROOT / "docs" / "reference" / f"{name}.md").read_text("utf-8")
    start, first = text.index("## Formulas"), ENTRY.search(text).start()
    assert text.index("<!-- summary -->") < start < first
    formulas = text[start:first]
    assert "Source" in formulas
    assert formulas.count("$$") % 2 == 0
    for place, function in ENTRY.findall(text):
        if inspect.isfunction(getattr(importlib.import_module(place), function)):
            assert f"`{function}`" in formulas or function in WITHOUT_FORMULA, function


def test_the_index_lists_every_page_with_as_many_names_as_it_has():
    folder = ROOT / "docs" / "reference"
    index = (folder / "index.md").read_text("utf-8")
    for page in folder.glob("*.md"):
        if page.name == "index.md":
            continue
        count = len(re.findall(r"^::: keras_infobottleneck", page.read_text("utf-8"), re.M))
        (row,) = re.findall(rf"\({page.name}\) \| (.*) \|", index)
        listed = re.match(r"(\d+) names:", row)
        assert count == (int(listed[1]) if listed else row.count("`") // 2), page.name
