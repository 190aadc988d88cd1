"""The site has a page for each experiment, its figure before its text, and every claim on one."""

import pathlib
import runpy

import pytest

from tools.write_reproduction_table import CLAIMS, EXPERIMENTS

ROOT = pathlib.Path(__file__).parents[2]

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def pages():
    return runpy.run_path(str(ROOT / "tools" / "site" / "experiments.py"))["pages"]()


def test_every_experiment_has_a_page_in_the_menu(pages):
    assert set(pages) == {f"reproduction/{name}.md" for name in EXPERIMENTS}
    menu = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert all(f": {path}\n" in menu for path in pages)


def test_every_claim_is_judged_on_a_page(pages):
    text = "\n".join(pages.values())
    for number, claim in CLAIMS.items():
        assert f"### {number}: {claim.rstrip('.')}\n" in text


def test_figures_come_first_and_are_there(pages):
    assert sum("![" in text for text in pages.values()) > 6
    for text in pages.values():
        title, _, rest = text.partition("\n\n")
        assert title.startswith("# ")
        for line in text.splitlines():
            if line.startswith("!["):
                assert rest.startswith("![")
                figure = line.rpartition("](../")[2].rstrip(")")
                assert (ROOT / "docs" / figure).is_file()


def test_verdicts_are_those_of_the_results(pages):
    text = pages["reproduction/random_labels.md"]
    assert text.count("**Reproduced** on ") > 4
    assert "**Reproduced** on MNIST: " in text
    assert "`docs/results/random_labels_mnist.json`" in text
