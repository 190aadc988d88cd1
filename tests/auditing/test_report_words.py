"""What a report says in words: nothing that its numbers contradict, with the numbers' errors."""

import dataclasses
import re

import numpy as np
import pytest

from keras_infobottleneck.auditing import InformationReport
from keras_infobottleneck.auditing.drawn_code import DrawnCode
from keras_infobottleneck.auditing.entries import Omission
from keras_infobottleneck.auditing.findings import Findings, LayerInformation
from keras_infobottleneck.auditing.parts.examples import RememberedExamples
from keras_infobottleneck.auditing.performance import TaskPerformance
from keras_infobottleneck.auditing.registration import PARTS
from keras_infobottleneck.auditing.weights_in_words import sentences_on_weights, verdict_on_weights
from keras_infobottleneck.estimators import EffectiveInformation, WeightInformation

TASK = TaskPerformance(
    loss=0.1,
    loss_standard_error=0.01,
    num_examples=1000,
    likelihood="categorical",
    labels_per_example=1,
    accuracy=0.98,
    accuracy_standard_error=0.0044,
    prediction_entropy=0.2,
    label_entropy=2.3,
    most_frequent=0.11,
)
ABOUT = {"model_name": "net", "num_weights": 5000, "num_examples": 1000, "examples": {}, "seed": 0}


def findings(excess, drawn_excess=None, *, nats=1400.0, working_price=1.0, structure="diagonal"):
    """Of weights that hold 1.4 nats an example, by a code whose noise adds this loss."""
    held = WeightInformation(nats, {"a/kernel": nats}, 1000, 1e-3, 1.0, 14.0, excess)
    results = {"task": TASK, "weights": dataclasses.replace(held, structure=structure)}
    if drawn_excess is not None:
        price = working_price / 1000
        drawn = DrawnCode(price, nats, {"a/kernel": nats}, drawn_excess, 0.06, excess, 0.2, 2.3, 4)
        results["drawn_code"] = drawn
    return Findings.of(results, **ABOUT)


NOISY = {
    "drawn": findings(1.3, 1.3),
    "drawn at a lower price": findings(2.8, 1.3, working_price=0.3),
    "predicted": findings(1.3),
}


@pytest.mark.parametrize("name", NOISY)
def test_a_code_whose_noise_costs_most_of_what_is_known_clears_no_network(name):
    verdict = verdict_on_weights(NOISY[name])
    cost = "1.3" if name == "predicted" else "1.300 ± 0.060"
    assert f"costs {cost} of the 2.2 nats that the network tells" in verdict.statement
    assert "too noisy to say whether it has labels by heart" in verdict.statement
    assert "cannot have" not in verdict.statement
    assert "too little" not in verdict.statement
    assert verdict.urgency == 1


def test_a_network_worse_than_a_guess_tells_no_negative_nats():
    held = findings(1.3)
    worse = {"task": dataclasses.replace(TASK, loss=9.0), "weights": held.weights}
    statement = verdict_on_weights(Findings.of(worse, **ABOUT)).statement
    assert "costs 1.3 nats of a network that tells nothing" in statement


def test_a_code_whose_noise_costs_little_tells_what_weights_cannot_hold():
    assert "too little to have all labels by heart" in verdict_on_weights(findings(0.1)).statement
    assert "too little" in verdict_on_weights(findings(0.1, 0.1)).statement
    # At the price at which it works, a code may cost little that costs all at the full one.
    assert "too little" in verdict_on_weights(findings(2.8, 0.1, working_price=0.1)).statement
    paid = verdict_on_weights(findings(None, structure="posterior"))
    assert "it cannot have all labels by heart" in paid.statement
    much = verdict_on_weights(findings(1.3, 1.3, nats=3000.0))
    assert "can remember every label" in much.statement


def test_sentences_on_weights_have_the_errors_of_their_numbers():
    (nats, noise) = sentences_on_weights(findings(1.3, 1.3))
    assert "1,400 ± 14 nats: 1.400 ± 0.014 per example" in nats
    assert "adds 1.300 ± 0.060 nats" in noise
    (lost,) = sentences_on_weights(findings(2.8, 1.3, working_price=0.3))
    assert "adds 2.80 ± 0.20 nats" in lost


def test_every_number_with_an_error_is_said_with_it(report):
    said = {part.name: list(part.sentences(report)) for part in PARTS}
    for part, verdict in report.verdicts().items():
        said[part].append(verdict.statement)
    checked = 0
    for reading in report.readings:
        if reading.standard_error is None or not reading.standard_error > 0:
            continue
        forms = {f"{reading.value:.{digits}g}" for digits in (2, 3, 4, 5)}
        forms |= {f"{reading.value:.{digits}%}" for digits in (0, 1, 2)}
        for sentence in (re.sub(r"null [-.\d]+", "", said_of) for said_of in said[reading.part]):
            checked += "±" in sentence
            for number in re.findall(r"(?<![\w.-])-?[\d.,]*\d%?(?! ±)(?![\d.])", sentence):
                alone = number.replace(",", "")
                assert alone not in forms or "± " + number in sentence, (reading.label, sentence)
    assert checked > 5


def test_parts_that_are_missing_for_one_reason_are_named_at_the_head():
    reason = "`likelihood` must be given. Received: likelihood=None"
    missing = [Omission(part, "all", reason) for part in ("task", "fisher", "weights")]
    others = [Omission("activations", "all", "none"), Omission("relevance", "wide", reason)]
    report = InformationReport(**ABOUT, omissions=(*missing, *others))
    first, last = report.in_short()
    assert first == f"The parts task, fisher, weights could not be measured: {reason}"
    assert last.startswith("5 things were not measured")
    few = InformationReport(**ABOUT, omissions=(*missing[:2], *others))
    assert len(few.in_short()) == 1


def test_examples_are_rows_of_the_data():
    (part,) = [part for part in PARTS if part.name == "examples"]
    numbers, nats = [231, 17, 5, 8], [3.0, 2.0, 1.0, 0.5]
    held = RememberedExamples(0.1, 0.01, 0.3, numbers, nats, nats, 500)
    found = Findings.of({"remembered": held}, **ABOUT)
    (sentence,) = part.sentences(found)
    assert "rows 231, 17, 5 of the data most, counted from 0" in sentence
    assert "row 231, the most remembered of 500" in part.verdict(found).evidence
    assert [reading.where for reading in part.readings(found)][2:4] == ["row 231", "row 17"]


@pytest.mark.parametrize(
    ("nats", "words"), [(4.0, "enough for"), (1.0, "less than"), (2.5, "cannot be told")]
)
def test_what_is_within_its_error_of_the_labels_is_not_decided(nats, words):
    (part,) = [part for part in PARTS if part.name == "effective"]
    felt = EffectiveInformation(
        nats, np.full(9, nats), 0.3, np.ones((9, 2)), "hidden", 4, 9, 1e-3, 1.0, False
    )
    found = Findings.of(
        {"task": TASK}, **ABOUT, layers={"hidden": LayerInformation(effective=felt)}
    )
    statement = part.verdict(found).statement
    assert words in statement
    assert f"{nats:.2f} ± 0.30 nats" in statement
