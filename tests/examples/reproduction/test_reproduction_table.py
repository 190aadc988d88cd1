"""The table of claims is what the results say, and says what they lack."""

import importlib.util
import json

import pytest

from reproduction.frame.verdicts import UNTOLD, VERDICTS
from tests.support.example_runs import ROOT

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def tool():
    path = ROOT / "tools" / "write_reproduction_table.py"
    spec = importlib.util.spec_from_file_location("write_reproduction_table", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path):
    for name in ("results", "figures"):
        (tmp_path / "docs" / name).mkdir(parents=True)
    return tmp_path


def write(tree, stem, claims, **more):
    content = {"claims": claims, **more}
    (tree / "docs" / "results" / f"{stem}.json").write_text(json.dumps(content))


def rows(text, number):
    """Cells of every row of a claim."""
    lines = [x for x in text.splitlines() if f"| {number} |" in x]
    return [[cell.strip() for cell in x.replace(r"\|", "/").split("|")[1:-1]] for x in lines]


CLAIM = {
    "claim": "c",
    "setting": "s",
    "measured": "2 times N log |Y|",
    "verdict": "partly",
    "criterion": "k",
    "numbers": {},
}


def test_the_page_kept_is_the_one_that_the_results_give(tool):
    assert tool.TARGET.read_text("utf-8") == tool.document(), "run: make reproduction-table"


def test_every_claim_has_a_row(tool):
    text = tool.TARGET.read_text("utf-8")
    counts = {"1": "abcdefghij", "2": "abcdef", "3": "abcdefgh", "4": "abcde", "5": "abcdefgh"}
    for paper, letters in counts.items():
        assert all(rows(text, f"{paper}-{letter}") for letter in letters)


def test_experiments_that_judge_one_claim_say_the_same_of_it(tool):
    for experiment in tool.EXPERIMENTS.values():
        assert experiment.CLAIMS.items() <= tool.CLAIMS.items()


def test_a_claim_without_result_is_not_run(tool, tree):
    found = rows(tool.document(tree), "2-d")
    assert [row[5] for row in found] == ["not run"]


def test_two_results_of_one_claim_have_a_row_each(tool, tree):
    times = {"minutes": 3, "core_minutes": 2.04}
    write(tree, "b", {"2-d": CLAIM | {"verdict": "reproduced"}}, command="python b", **times)
    write(tree, "a", {"2-d": CLAIM}, command="python a", minutes=1)
    (tree / "docs" / "figures" / "b.png").touch()
    first, second = rows(tool.document(tree), "2-d")
    assert first[3:] == ["s", "2 times N log /Y/", "partly", "-", "`python a`", "(1.0)"]
    assert second[5:] == ["reproduced", "[figure](figures/b.png)", "`python b`", "2.0"]
    assert "lacks" not in tool.document(tree)


def test_what_a_file_lacks_is_named(tool, tree):
    claim = {name: value for name, value in CLAIM.items() if name not in ("measured", "setting")}
    claims = {"5-a": claim, "5-b": claim, "5-c": {"verdict": "not run"}}
    write(tree, "old", claims, minutes=3)
    text = tool.document(tree)
    assert rows(text, "5-a")[0][3:6] == ["-", "-", "partly"]
    assert rows(text, "5-c")[0][3:6] == ["-", "-", "not run"]
    assert "- `results/old.json` lacks command; setting and measured of 5-a, 5-b." in text


def test_a_criterion_stands_once_unless_results_differ(tool, tree):
    for stem in ("a", "b"):
        write(tree, stem, {"2-d": CLAIM, "5-a": CLAIM | {"criterion": f"under {stem}"}})
    write(tree, "c", {"2-d": {"verdict": "not run", "criterion": "none"}})
    listed = [line for line in tool.document(tree).splitlines() if line.startswith("- 2-d")]
    assert listed == ["- 2-d: k."]
    listed = [line for line in tool.document(tree).splitlines() if line.startswith("- 5-a")]
    assert listed == ["- 5-a (`a`): under a.", "- 5-a (`b`): under b."]


def test_files_without_claims_are_left_out_and_unknown_claims_refused(tool, tree):
    (tree / "docs" / "results" / "benchmark.json").write_text("[1, 2]")
    assert tool.read_results(tree) == {}
    write(tree, "new", {"9-z": CLAIM})
    with pytest.raises(ValueError, match=r"Received: \['9-z'\] in new\.json"):
        tool.document(tree)


def test_a_changed_criterion_shows_both_verdicts_with_the_reason(tool, tree):
    before = {"verdict": "partly", "criterion": "the old one", "why": "it asked another thing"}
    claim = CLAIM | {"verdict": "reproduced", "before": before, "power": "enough", "authors": "big"}
    write(tree, "a", {"2-d": claim})
    text = tool.document(tree)
    assert rows(text, "2-d")[0][5] == "reproduced (before: partly)"
    (listed,) = [line for line in text.splitlines() if line.startswith("- 2-d: k.")]
    assert "Before: the old one; changed because it asked another thing." in listed
    assert "The authors: big. Power: enough." in listed


def test_controls_are_not_counted_and_what_cannot_be_told_says_what_would_tell(tool, tree):
    write(
        tree,
        "a",
        {"4-e": CLAIM | {"verdict": tool.CONTROL}, "5-d": CLAIM | {"verdict": tool.UNTOLD}},
    )
    text = tool.document(tree)
    assert f"Of {len(tool.CLAIMS) - 1} claims" in text
    assert "- 5-d: more seeds at the authors' width" in text


def test_no_kept_claim_that_cannot_be_told_leaves_open_what_would_tell(tool):
    said = {}
    for experiment in tool.EXPERIMENTS.values():
        said |= getattr(experiment, "WOULD_TELL", {})
    for result in tool.read_results(ROOT).values():
        for number, claim in result["claims"].items():
            assert claim["verdict"] in VERDICTS
            assert claim["verdict"] != UNTOLD or number in said


def test_the_page_opens_with_ten_sentences_that_have_a_figure_each(tool):
    opening = tool.TARGET.read_text("utf-8").split("## Claim by claim")[0]
    sentences = [line for line in opening.splitlines() if line[:1].isdigit()]
    assert len(sentences) == 10
    for sentence in sentences:
        figure = sentence.split("(figures/")[1].split(")")[0]
        assert (ROOT / "docs" / "figures" / figure).exists()
