"""What each part of a report concludes from its numbers, either side of where that changes."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from keras_infobottleneck.auditing.findings import Findings, LayerInformation
from keras_infobottleneck.auditing.parts.geometry import Geometry
from keras_infobottleneck.auditing.performance import TaskPerformance
from keras_infobottleneck.auditing.registration import PARTS
from keras_infobottleneck.estimators import Estimate

BY_NAME = {part.name: part for part in (*PARTS, Geometry())}


def task(loss=0.3, accuracy=0.9, **others):
    """Of three classes, of which the most frequent has 40 of a hundred labels."""
    values = {
        "loss_standard_error": 0.02,
        "num_examples": 900,
        "likelihood": "categorical",
        "labels_per_example": 1,
        "accuracy_standard_error": 0.01,
        "prediction_entropy": 0.4,
        "label_entropy": 1.05,
        "most_frequent": 0.4,
    }
    return TaskPerformance(loss=loss, accuracy=accuracy, **(values | others))


REGRESSION = TaskPerformance(1.25, 0.04, 900, "normal", 2)


def verdict(part, results=None, layers=None):
    """The part's, of these results and those of layers."""
    about = {"model_name": "net", "num_weights": 10, "num_examples": 900, "examples": {}, "seed": 0}
    of_layers = {name: LayerInformation.of(found) for name, found in (layers or {}).items()}
    return BY_NAME[part].verdict(Findings.of(results or {}, layers=of_layers, **about))


def fisher(trace=2.0, labels="expected"):
    """A diagonal of two weights, of which the first has three quarters of the trace."""
    return SimpleNamespace(
        trace=lambda: Estimate(trace, 0.1),
        by_variable=lambda: {"a": {"trace": 0.75 * trace}, "b": {"trace": 0.25 * trace}},
        labels=labels,
        size=2,
        num_examples=900,
    )


def point(relevance, num_states=50):
    """States of a layer whose null has 0.30 ± 0.01 at their resolution."""
    null = SimpleNamespace(at=lambda resolution: (0.30, 0.01))
    states = SimpleNamespace(
        relevance=relevance, resolution=0.6, num_states=num_states, num_samples=100
    )
    return {"relevance": states, "relevance_null": null}


def correlation(nats):
    """Of eight units, beside a null of 0.0 ± 0.1."""
    found = SimpleNamespace(nats=nats, standard_error=0.1, null=0.0, null_std=0.1, num_units=8)
    return {"total_correlation": found}


def nuisance(nats):
    """Beside a null of zero."""
    found = SimpleNamespace(
        nats=nats, standard_error=0.05, null=0.0, lower_bound=nats, upper_bound=2.3
    )
    return {"nuisance": found}


def complexity(ratio, rows=0.8, columns=0.8):
    """Ratios to the shuffle, which renumbering units moves by 0.002."""
    rearranged = {
        "within_rows": SimpleNamespace(value=rows, std=0.001),
        "within_columns": SimpleNamespace(value=columns, std=0.001),
        "renumbered": SimpleNamespace(value=1.0, std=0.002),
    }
    return SimpleNamespace(
        shuffled_ratio=ratio, shuffled_ratio_std=0.001, rearranged=rearranged, saturation={0: 0.1}
    )


def remembered(share):
    """The most remembered percent holds this share."""
    return SimpleNamespace(
        nats=np.array([3.0]),
        numbers_of_examples=[7],
        mean_nats=0.4,
        standard_error=0.02,
        num_examples=900,
        share_of_top_percent=share,
    )


def paid(nats):
    """For activations, at a price of 0.1."""
    return {"activations": SimpleNamespace(nats=nats, standard_error=0.01, beta=0.1)}


def felt(nats, view=""):
    """Effective information of a layer, by averages of its channels if there is a view."""
    found = SimpleNamespace(nats=nats, standard_error=0.1, num_examples=50)
    return {"effective": found, "views": {"effective": view} if view else {}}


CLASSES = {"task": task()}
# Part, results, results of layers, words of the statement, words of evidence, how urgent.
CASES = {
    "tells": ("task", CLASSES, {}, "of the 1.1 nats that a label holds", "0.900 ± 0.010", 0),
    "no better": ("task", {"task": task(1.1, 0.41)}, {}, "no better than always", "0.410", 2),
    "too sure": ("task", {"task": task(1.3)}, {}, "worse than the frequencies", "1.05", 2),
    "regression": ("task", {"task": REGRESSION}, {}, "compare networks by", "1.250 ± 0.040", 0),
    "six labels": (
        *("task", {"task": task(2.0, labels_per_example=6)}, {}),
        *("of the 6.3 nats that an example's 6 labels hold", "alone give 6.3", 0),
    ),
    "follows": ("fisher", {"fisher": fisher(), **CLASSES}, {}, "follow a most", "75% of", 0),
    "saturated": ("fisher", {"fisher": fisher(0.0)}, {}, "follow no weight", "2 weights", 2),
    "sure": (
        *("fisher", {"fisher": fisher(), "task": task(prediction_entropy=0.02)}, {}),
        *("no flat minimum", "0.02 of 1.1", 1),
    ),
    "organised": ("relevance", {}, {"h": point(0.33)}, "layer h are organised", "+0.03", 0),
    "by chance": ("relevance", {}, {"h": point(0.31)}, "No layer's states", "+0.01", 0),
    "all distinct": ("relevance", {}, {"h": point(0.3, 100)}, "Nothing can be told", "1 lay", 1),
    "repeat": (
        *("total_correlation", {}, {"h": correlation(4.0), "k": correlation(1.0)}),
        *("layer h repeat each other most, by 0.5", "4.00 ± 0.10", 0),
    ),
    "apart": ("total_correlation", {}, {"h": correlation(0.2)}, "No layer's units", "0.20", 0),
    "tells nuisance": ("nuisance", {}, {"h": nuisance(0.4)}, "0.4", "0.400 ± 0.050", 2),
    "tells nothing": ("nuisance", {}, {"h": nuisance(0.05)}, "No layer was seen", "0.050", 0),
    "noise": ("complexity", {"complexity": complexity(1.01)}, {}, "not arranged", "1.01", 0),
    "even": ("complexity", {"complexity": complexity(1.1)}, {}, "more evenly", "1.1", 0),
    "units": (
        *("complexity", {"complexity": complexity(0.8, rows=1.0)}, {}),
        *("because units differ in scale", "0.8", 0),
    ),
    "inputs": (
        *("complexity", {"complexity": complexity(0.8, columns=1.0)}, {}),
        *("because inputs differ in scale", "0.8", 0),
    ),
    "arranged": ("complexity", {"complexity": complexity(0.8)}, {}, "are arranged", "0.8", 0),
    "one": ("examples", {"remembered": remembered(0.3)}, {}, "remembers some", "30%", 1),
    "alike": ("examples", {"remembered": remembered(0.02)}, {}, "No example stands", "2%", 0),
    "less": ("activations", CLASSES, {"h": paid(0.5)}, "less than the 1.1", "0.500 ± 0.010", 1),
    "enough": ("activations", CLASSES, {"h": paid(2.0)}, "enough for the 1.1", "2.000", 0),
    "unlabelled": ("activations", {}, {"h": paid(2.0)}, "lets through least", "0.1", 0),
    "told": ("effective", CLASSES, {"h": felt(3.0)}, "enough for the 1.1", "3.00 ± 0.10", 0),
    "lost": ("effective", CLASSES, {"h": felt(0.5)}, "labels are lost there", "0.50", 1),
    "numbers": ("effective", {"task": REGRESSION}, {"h": felt(3.0)}, "tells least", "3.00", 0),
    "channels": ("effective", CLASSES, {"h": felt(3.0, "8 ch")}, "channels' averages", "3.00", 0),
    "endless": ("effective", CLASSES, {"h": felt(math.inf)}, "No limit was found", "1 lay", 0),
    "pruned": (
        "weights",
        {
            "pruning": SimpleNamespace(
                kept=np.array([0.9, 0.25]), thresholds=np.array([1.0, 3.0]), num_weights=400
            )
        },
        {},
        *("noise and no price", "25% of 400 weights are 3 times", 1),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_verdict_follows_its_numbers(case):
    part, results, layers, statement, evidence, urgency = CASES[case]
    found = verdict(part, results, layers)
    assert statement in found.statement
    assert evidence in found.evidence
    assert found.uncertainty
    assert found.urgency == urgency


@pytest.mark.parametrize("part", BY_NAME)
def test_of_nothing_there_is_no_verdict(part):
    assert verdict(part) is None


def test_an_error_of_drawn_labels_is_told():
    found = verdict("fisher", {"fisher": fisher(labels="sampled")})
    assert "±" in found.evidence + found.uncertainty


@pytest.mark.parametrize("missing", [False, True])
def test_the_layer_of_fewest_dimensions_is_named(missing):
    ratio = SimpleNamespace(corrected=4.0, standard_error=0.2, num_units=12)
    sheet = SimpleNamespace(dimension=2.5, standard_error=0.1, shuffled=9.0)
    layers = {
        "h": {"participation_ratio": ratio},
        "k": {"participation_ratio": ratio} | ({} if missing else {"intrinsic_dimension": sheet}),
    }
    found = verdict("geometry", layers=layers)
    expected = ("h", "4.00 ± 0.20", "12 units") if missing else ("k", "2.50 ± 0.10", "9 with")
    assert f"layer {expected[0]}" in found.statement
    assert expected[1] in found.evidence
    assert expected[2] in found.evidence
