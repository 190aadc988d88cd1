"""Every public class and function has an example in its docstring, which runs."""

import inspect
import itertools
import textwrap

import keras
import pytest

from tests.documentation.test_reference import public_names
from tools import run_documentation as pages

NAMES = {id(value): (name, value) for name, value in public_names()}


@pytest.mark.quick
def test_every_public_name_has_an_example():
    missing = [name for name, value in NAMES.values() if not pages.blocks_of(example_of(value))]
    assert not missing, f"put a short python block into the docstrings of {missing}"


@pytest.mark.parametrize("value", [pytest.param(value, id=name) for name, value in NAMES.values()])
def test_an_example_prints_what_the_docstring_shows(value):
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    found = pages.check(example_of(value), value.__name__)
    assert not found, "\n".join(found)


def example_of(value) -> str:
    """The section `Example` of a docstring, not indented."""
    _, _, rest = (inspect.getdoc(value) or "").partition("Example:\n")
    inside = itertools.takewhile(lambda line: line[:1] in ("", " "), rest.splitlines())
    return textwrap.dedent("\n".join(inside))
