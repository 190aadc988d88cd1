"""The rooms of the house: what may stand where, and how long a file may be."""

import ast
import importlib
import inspect
import pathlib
import re

import pytest

import keras_infobottleneck as kib

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "keras_infobottleneck"
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted({path.parent for path in MODULES})
MOST_LINES = 350
NUMBER_CHECKS = re.compile(
    r"_?check_(count|number|positive|price|probability|seed|flag|choice|positive_integer|integer)"
)


def name_of(path):
    return str(path.relative_to(ROOT))


def tree_of(path):
    return ast.parse(path.read_text("utf-8"))


def files(*folders, suffix=".py"):
    return [p for folder in folders for p in sorted((ROOT / folder).rglob(f"*{suffix}"))]


@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_no_module_has_the_name_of_what_its_room_offers(room):
    # `import keras_infobottleneck.estimators.hessian` must give a module wherever there is one.
    face = importlib.import_module(".".join(room.relative_to(ROOT).parts))
    modules = {path.stem for path in MODULES if path.parent == room and path.stem != "__init__"}
    rooms = {path.name for path in ROOMS if path.parent == room}
    within = modules | rooms
    hidden = {name for name in within if not isinstance(getattr(face, name, kib), type(kib))}
    assert not hidden


def test_what_is_listed_is_public():
    for face in (kib, kib.estimators):
        listed = {name for name in dir(face) if not name.startswith("__")}
        assert listed == set(face.__all__) - {"__version__"}, face.__name__


FACES = (
    kib,
    kib.callbacks,
    kib.distributions,
    kib.estimators,
    kib.layers,
    kib.models,
    kib.plots,
)


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_arguments_of_public_functions_are_annotated(face):
    functions = [getattr(face, name) for name in face.__all__]
    for function in filter(inspect.isfunction, functions):
        bare = {
            name
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.annotation is inspect.Parameter.empty
            and parameter.kind is not inspect.Parameter.VAR_KEYWORD
        }
        assert not bare, function.__name__


def test_weights_of_one_path_are_numbered_in_one_file():
    numbering = re.compile(r"\S #\{")
    found = {name_of(path) for path in MODULES if numbering.search(path.read_text("utf-8"))}
    assert found == {name_of(PACKAGE / "introspection" / "contents.py")}


def private_names(path):
    """Names of private attributes that a file reads or calls, and those that it makes."""
    read, made = set(), set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute):
            (made if isinstance(node.ctx, ast.Store) else read).add(node.attr)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
    private = re.compile(r"_[a-z]\w*$")
    return ({n for n in names if private.match(n)} for names in (read, made))


def test_private_attributes_of_keras_stand_in_introspection():
    # Private and made nowhere in the package: they are those of Keras or TensorFlow.
    read, made = {}, set()
    for path in MODULES:
        read[path], of_file = private_names(path)
        made |= of_file
    inside = PACKAGE / "introspection"
    found = {name_of(path): names - made for path, names in read.items() if names - made}
    assert {path for path in found if not path.startswith(name_of(inside))} == set()
    assert found  # the walk through the layers at least


def test_private_modules_of_keras_stand_in_introspection():
    for path in MODULES:
        if PACKAGE / "introspection" not in path.parents:
            assert "keras.src" not in path.read_text("utf-8"), path


def test_numbers_are_checked_in_one_room():
    for path in MODULES:
        if path.parent == PACKAGE / "arguments":
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef):
                assert not NUMBER_CHECKS.fullmatch(node.name), (name_of(path), node.name)


@pytest.mark.parametrize(
    "path", files("keras_infobottleneck", "tests", "examples", "tools", "benchmarks"), ids=name_of
)
def test_a_file_is_one_idea_and_no_book(path):
    assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES


def test_the_notes_are_a_map():
    assert (ROOT / "BUILD_NOTES.md").stat().st_size <= 20_000


def test_tests_stand_in_rooms_of_the_names_of_the_package():
    others = {"benchmarks", "examples", "support", "files_of_0_1_0", "tools", "documentation"}
    for path in files("tests"):
        inside = path.relative_to(ROOT / "tests").parent
        if inside.parts and inside.parts[0] not in others:
            assert (PACKAGE / inside).is_dir(), path


def test_every_room_has_tests_and_some_of_them_are_quick():
    # Of a room of parts, such as the rules of layers, the tests may stand in the room around it.
    tested = [room for room in ROOMS if len(room.relative_to(PACKAGE).parts) == 1]
    for room in tested:
        of_room = [*(ROOT / "tests" / room.relative_to(PACKAGE)).rglob("test_*.py")]
        texts = [path.read_text("utf-8") for path in of_room]
        assert any("pytest.mark.quick" in text for text in texts), name_of(room)
