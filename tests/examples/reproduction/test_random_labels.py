"""The script on random labels: judged whole, and killed and resumed to the same claims."""

import json

import numpy as np
import pytest

from reproduction.frame.verdicts import UNTOLD
from reproduction.random_labels.claims import judge, plain
from reproduction.random_labels.transition import first_crossing, over_seeds, transition
from tests.support.example_runs import ROOT, finish, killed_and_resumed, result

SCRIPT = "reproduction/random_labels/run.py"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(SCRIPT, folder)
    return folder


@pytest.mark.slow
def test_judges_every_claim_and_draws_the_figure(undisturbed):
    claims = result(undisturbed)["claims"]
    assert list(claims) == [f"1-{letter}" for letter in "abcdefg"]
    for claim in claims.values():
        assert claim["measured"]
        assert claim["criterion"]
    assert claims["1-b"]["verdict"] == "not run"
    assert (undisturbed / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_killed_and_resumed_it_ends_the_same(undisturbed, tmp_path):
    resumed = killed_and_resumed(
        ["records/memory_of_logits-40-1-*.npz"], SCRIPT, undisturbed, tmp_path
    )
    assert resumed == result(undisturbed)


def test_transition_and_crossing_of_a_known_column():
    betas = [0.01, 0.1, 1.0, 10.0]
    record = {
        "betas": betas,
        "size": 100,
        # Half-way from 1.0 to a tenth is 0.55, reached midway from 0.1 to 1 on a log scale.
        "accuracy": [1.0, 1.0, 0.1, 0.1],
        "crossentropy": [0.0, 0.0, np.log(10), np.log(10)],
        "information": [230.2585, 230.2585, 0.0, 0.0],
    }
    found = transition(record, {"num_classes": 10})
    assert found["beta"] == pytest.approx(10**-0.5)
    assert found["width"] == pytest.approx(0.8)
    assert found["crossing"] == pytest.approx(1.0)


def test_a_transition_is_read_from_the_highest_accuracy_on():
    record = {
        "betas": [0.001, 0.01, 0.1, 1.0],
        "size": 100,
        "accuracy": [0.3, 0.9, 0.9, 0.1],
        "crossentropy": [np.log(10)] * 4,
        "information": [1.0] * 4,
    }
    found = transition(record, {"num_classes": 10})
    assert found["beta"] == pytest.approx(10**-0.5)
    assert found["width"] == pytest.approx(0.8)
    assert np.isnan(found["crossing"])


@pytest.fixture
def kept():
    """The result that is kept for the digits, and its claims judged again from its records."""
    path = ROOT / "docs" / "results" / "random_labels_digits.json"
    content = json.loads(path.read_text())

    def judged(records):
        return judge(records, content["widths"], content["settings"])

    return content, judged


@pytest.mark.parametrize("data", ["mnist", "cifar10_subset", "digits"])
def test_kept_verdicts_are_those_of_the_kept_records(data):
    path = ROOT / "docs" / "results" / f"random_labels_{data}.json"
    content = json.loads(path.read_text())
    judged = judge(content["records"], content["widths"], content["settings"])
    for number, claim in content["claims"].items():
        again = {name: judged[number][name] for name in ("setting", "criterion", "verdict")}
        assert again == {name: claim[name] for name in again}


def test_a_setting_names_the_sizes_that_were_run(kept):
    content, judged = kept
    settings = {number: claim["setting"] for number, claim in judged(content["records"]).items()}
    assert settings["1-a"] == "digits, memory of logits, random labels, N = 75 to 1200, 3 seeds"
    assert settings["1-b"] == "digits, other codes, random labels, N = 150, 3 seeds"
    assert settings["1-f"] == "digits, memory of logits, beta = 0.1, N = 300, 3 seeds"


def test_every_run_is_held_to_its_own_number_of_examples(kept):
    content, _ = kept
    settings = content["settings"] | {"judged": ["1-c"]}

    def verdict():
        return judge(records, content["widths"], settings)["1-c"]["verdict"]

    # Without the features, of which one seed falls below what its own number of examples allows.
    records = [dict(record) for record in content["records"] if "features" not in record["code"]]
    largest = next(r for r in records if (r["size"], r["share"]) == (1200, 1.0))
    assert verdict() == "reproduced"
    # A code that is a twentieth of a nat too good: within what 75 examples allow, not 1200.
    least = np.add(
        largest["crossentropy"], np.multiply(largest["betas"], largest["information"]) / 1200
    )
    gain = least[-1] - (np.log(10) - 0.05)
    largest["crossentropy"] = [*largest["crossentropy"][:-1], largest["crossentropy"][-1] - gain]
    assert verdict() == UNTOLD


def test_a_transition_that_is_not_reached_has_no_place():
    assert np.isnan(first_crossing([0.1, 1.0], [0.0, 0.4], 0.5))
    assert np.isnan(first_crossing([0.1, 1.0], [0.6, 0.7], 0.5))
    nothing = over_seeds([float("nan")])
    in_json = plain(nothing)
    assert in_json == {"mean": None, "standard_error": None}
