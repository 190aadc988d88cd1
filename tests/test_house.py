"""The rules of the house, read from its source: who imports whom, what is public, what is not."""

import ast
import importlib
import inspect
import os
import pathlib
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "keras_infobottleneck"
MODULES = sorted(PACKAGE.rglob("*.py"))
IGNORED = {
    ".git",
    ".venv",
    "outputs",
    "build",
    "dist",
    "__pycache__",
    ".ruff_cache",
    ".mypy_cache",
    ".hypothesis",
}
TEXT = {".py", ".toml", ".txt", ".md", ".cff", ".yml", ".yaml", ".cfg", ".json", ""}

# What each part may import from the package; a part may always import from itself.
ALLOWED = {
    "arguments": set(),
    "distributions": set(),
    "pac_bayes": {"arguments"},
    "results": {"arguments"},
    "data": {"arguments"},
    "introspection": {"arguments", "data"},
    "linear_algebra": {"arguments", "results"},
    "layers": {"arguments", "distributions", "introspection"},
    "models": {
        *("arguments", "data", "distributions", "introspection", "layers"),
        *("pac_bayes", "results"),
    },
    "certificates": {
        *("arguments", "data", "introspection", "layers", "models", "pac_bayes"),
        "results",
    },
    "estimators": {
        *("arguments", "certificates", "data", "introspection", "linear_algebra", "models"),
        *("pac_bayes", "plots", "results"),
    },
    "compression": {
        *("arguments", "certificates", "data", "introspection", "layers", "models"),
        *("pac_bayes", "results"),
    },
    "forgetting": {
        *("arguments", "data", "estimators", "introspection", "linear_algebra", "models"),
        "results",
    },
    "plots": {"arguments"},
    "callbacks": {"arguments", "introspection", "results"},
    "sweeping": {
        *("arguments", "callbacks", "data", "introspection", "models", "plots", "results"),
    },
    "command_line": {
        *("arguments", "auditing", "certificates", "compression", "estimators", "models"),
        "results",
    },
    "__main__": {"", "command_line"},
    "auditing": {
        *("arguments", "data", "estimators", "introspection", "layers", "linear_algebra"),
        *("models", "plots", "results"),
    },
}


def part_of(module: str) -> str:
    """The first name below the package: `layers` for `keras_infobottleneck.layers.posteriors`."""
    return module.split(".")[1] if "." in module else ""


def imported_parts(path):
    """Parts of the package that a file imports, wherever in the file it does."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        parts |= {part_of(name) for name in names if name.split(".")[0] == PACKAGE.name}
    return parts


def dotted(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def repository_files():
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT).parts
        skipped = any(name in IGNORED or name.endswith(".egg-info") for name in inside)
        if path.is_file() and not skipped:
            yield path


@pytest.mark.parametrize("path", MODULES[1:], ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    assert MODULES[0] == PACKAGE / "__init__.py"  # which may import everything
    part = part_of(dotted(path))
    assert imported_parts(path) <= ALLOWED[part] | {part}


def modules_imported(path):
    """Files of the package that a file imports, wherever in the file it does."""
    by_name = {dotted(module): module for module in MODULES}
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= members & by_name.keys() or {node.module}
    return {by_name[name] for name in names & by_name.keys()} - {path}


def test_no_imports_run_in_a_circle():
    left = {path: modules_imported(path) for path in MODULES}
    while free := [path for path, imported in left.items() if not imported & left.keys()]:
        for path in free:
            del left[path]
    assert not left, f"in a circle, or above one: {sorted(map(dotted, left))}"


def attribute_chain(node):
    """``kib.layers.VariationalWeights`` as ["kib", "layers", "VariationalWeights"]."""
    if isinstance(node, ast.Attribute):
        return [*attribute_chain(node.value), node.attr]
    return [node.id] if isinstance(node, ast.Name) else [None]


def test_examples_use_public_names_only():
    used = 0
    for path in [*(ROOT / "examples").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith(PACKAGE.name):
                public = importlib.import_module(node.module).__all__
                assert {alias.name for alias in node.names} <= set(public), path
            chain = attribute_chain(node)
            if chain[0] != "kib":
                continue
            used += 1
            place = importlib.import_module(PACKAGE.name)
            for name in chain[1:]:
                assert name in place.__all__, (path, chain)
                place = getattr(place, name)
                if not hasattr(place, "__all__"):
                    break
    assert used > 10


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_all_is_sorted_complete_and_documented(path):
    module = importlib.import_module(dotted(path))
    if path.name == "__init__.py" and not hasattr(module, "__all__"):
        assert len(ast.parse(path.read_text("utf-8")).body) == 1  # an empty room: its docstring
        return
    names = module.__all__
    assert sorted(set(names)) == sorted(names)
    assert module.__doc__
    defined = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }
    assert defined <= set(names), f"public by name but not in __all__: {defined - set(names)}"
    for name in names:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name
        if inspect.isclass(value) and value.__module__ == module.__name__:
            assert "__doc__" in vars(value), name
            undocumented = [
                attribute
                for attribute, member in vars(value).items()
                if not attribute.startswith("_")
                and (inspect.isfunction(member) or isinstance(member, property))
                and not inspect.getdoc(getattr(value, attribute))
            ]
            assert not undocumented, f"{name}: {undocumented}"


def misread_lines(docstring):
    """Lines in the middle of a sentence or formula that Markdown takes for a list or a heading."""
    in_code = in_list = False
    before = ""
    for line in docstring.splitlines():
        marker = re.match(r"[+*>#-]\s|\d+[.)]\s|#", line.strip())
        if not before.strip():
            in_code = line.startswith("    ") and bool(line.strip())
            in_list = bool(marker)
        elif line.strip() and not line.startswith("    "):
            in_code = False
        if marker and before.strip() and not in_code and not in_list:
            yield line
        before = line


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_no_line_of_a_docstring_is_taken_for_a_list(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            docstring = ast.get_docstring(node) or ""
            assert not list(misread_lines(docstring)), (path, getattr(node, "name", ""))


@pytest.mark.parametrize("part", sorted({path.parent for path in MODULES}), ids=dotted)
def test_a_package_offers_what_it_imports(part):
    tree = ast.parse((part / "__init__.py").read_text("utf-8"))
    # What is offered but imported when first asked for stands under `if TYPE_CHECKING`.
    ifs = [node for node in tree.body if isinstance(node, ast.If) and part != PACKAGE]
    lazy = [node for block in ifs for node in block.body]
    imported = {
        alias.asname or alias.name
        for node in [*tree.body, *lazy]
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    } - {"TYPE_CHECKING"}
    module = importlib.import_module(dotted(part / "__init__.py"))
    offered = set(getattr(module, "__all__", ()))
    assert offered - {"__version__"} == imported


def test_every_file_is_named_for_an_idea():
    forbidden = {"utils", "helpers", "common", "misc", "base", "util", "helper", "core"}
    for path in repository_files():
        assert not forbidden & set(path.relative_to(ROOT).with_suffix("").parts), path


def test_no_file_mentions_a_machine_or_an_index():
    # Absolute paths of somebody's machine, folders beside the repository, package indexes.
    roots = "|".join(("home", "root", "tmp", "work", "Users", "mnt"))
    machine = re.compile(rf"(?<![\w./<>-])/({roots})/\w|\.\./shared")
    index = re.compile(r"--(extra-)?index[-]url|--find[-]links|/simple\b|://[^/\s]*@")
    own = pathlib.Path(__file__)
    for path in repository_files():
        if path.suffix in TEXT and path != own:
            text = path.read_text("utf-8")
            assert not machine.search(text), path
            assert not index.search(text), path


def test_pins_are_versions_only():
    lines = (ROOT / "constraints.txt").read_text("utf-8").split()
    assert all(re.fullmatch(r"[A-Za-z0-9_.\[\]-]+==[0-9][\w.]*", line) for line in lines)


def test_another_backend_is_refused_in_a_sentence_even_where_it_is_not_installed():
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", f"import {PACKAGE.name}"]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert refused.returncode != 0
    last = refused.stderr.strip().splitlines()[-1]
    assert "needs the TensorFlow backend" in last
    assert last.endswith("Received: backend='jax'")
