"""Every cell of the table of features and settings names a test that exists, or a reason."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
# What a test of a setting has in its text.
WORDS = {
    "jit": "jit_compile",
    "mixed_float16": "mixed_float16",
    "mixed_bfloat16": "bfloat16",
    "float64": "float64",
    "ONNX": "onnx",
    "LiteRT": "litert",
    "SavedModel": "export",
}
PAGE = (ROOT / "docs" / "settings.md").read_text("utf-8")


def test_what_is_said_to_be_tested_on_replicas_is():
    support = ROOT / "tests" / "support"
    files = [support / f"{name}_on_replicas.py" for name in ("measured", "models")]
    source = "".join(file.read_text("utf-8") for file in files)
    rows = re.findall(r"^\| (.*?) \| .*? \| ((?:\w+, )*R\b.*?|.*?, R\b.*?) \|", PAGE, re.MULTILINE)
    names = {name for feature, _ in rows for name in re.findall(r"`(\w+)`", feature)}
    assert len(names) > 20
    # Layers are made by `make_variational`.
    made = {"VariationalWeights": "make_variational"}
    assert [name for name in sorted(names) if f"{made.get(name, name)}(" not in source] == []


def test_every_cell_names_a_test_that_exists_or_a_reason():
    listed = dict(re.findall(r"^- (\w+): (.*(?:\n  .*)*)$", PAGE, re.MULTILINE))
    tests = {key: re.findall(r"`(tests/[\w/]+\.py)`", text) for key, text in listed.items()}
    for key, files in tests.items():
        assert key.isdigit() != bool(files), key
        assert all((ROOT / file).is_file() for file in files), files
    rows = [line.strip("| \n").split("|") for line in PAGE.splitlines() if line.startswith("| ")]
    head, _, *rows = rows
    assert len(rows) > 15
    used = set()
    for row in rows:
        assert len(row) == len(head)
        cells = [cell.strip().split(", ") for cell in row[1:]]
        used.update(*cells)
        for setting, keys in zip(head[1:], cells, strict=True):
            word = WORDS.get(setting.strip(), "")
            for key in keys:
                texts = [(ROOT / file).read_text("utf-8") for file in tests[key]]
                # A test of a setting names it.
                assert key.isdigit() or any(word in text for text in texts), (row[0], setting)
    assert used == listed.keys()
