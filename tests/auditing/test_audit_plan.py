"""What an audit measures is decided, and bad arguments are refused, before any work."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib
from keras_infobottleneck import estimators
from keras_infobottleneck.auditing import auditor, subject
from keras_infobottleneck.auditing.entries import Omission, listed, omissions_by_reason
from keras_infobottleneck.auditing.parts import effective
from keras_infobottleneck.auditing.plan import Cost
from keras_infobottleneck.auditing.registration import PARTS
from tests.support.audited_networks import COUNT, network

pytestmark = pytest.mark.quick


def test_what_is_switched_off_is_named_and_not_computed(model, data, monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError

    monkeypatch.setattr(estimators, "fisher_information", forbidden)
    monkeypatch.setattr(estimators, "quantized_complexity", forbidden)
    report = kib.audit(model, data, include=["task"])
    assert {reading.part for reading in report.readings} == {"task"}
    reasons = {o.part: o.reason for o in report.omissions}
    assert set(reasons) == {part.name for part in PARTS} - {"task"}
    assert all("switched off" in reason for reason in reasons.values())
    assert not any("not measured" in sentence for sentence in report.in_short())


def test_dry_run_says_what_will_be_done_and_does_nothing(model, data, monkeypatch, capsys):
    def forbidden(*_, **__):
        raise AssertionError

    monkeypatch.setattr(auditor, "draw_sample", forbidden)
    plan = kib.audit(model, data, dry_run=True)
    said = capsys.readouterr().out
    assert said.strip() == str(plan)
    assert plan.layers["first"] == ("effective", "relevance", "total_correlation")
    assert plan.layers["logits"] == ("effective",)
    for word in ("at most 1,000 examples", "dropout: passes", "no `nuisance` was given"):
        assert word in said


def test_many_layers_are_counted_instead_of_named():
    names = [f"block_{number}" for number in range(9)]
    assert listed(names[:8], most=8) == ", ".join(names[:8])
    assert listed(names, most=8) == "9: block_0, block_1 to block_8"
    omissions = [Omission("relevance", name, "too wide") for name in names]
    assert omissions_by_reason(omissions)["too wide"].count("block_") == 9
    short = omissions_by_reason(omissions, most_places=8)
    assert short == {"too wide": "relevance of 9: block_0, block_1 to block_8"}


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.314, "0.31"), (8.2, "8.2"), (133.0, "130"), (12_345.0, "12,000")]
)
def test_seconds_have_two_digits_and_no_exponent(seconds, said):
    assert str(Cost(seconds, 2**20)) == f"about {said} s, 1.0 MiB"


def test_dry_run_looks_for_the_likelihood(data):
    model = network()
    model.compile("sgd", keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
    plan = kib.audit(model, data, dry_run=True)
    reasons = {omission.part: omission.reason for omission in plan.omissions}
    for part in ("task", "fisher", "weights", "effective"):
        assert part not in plan
        assert "label_smoothing=0.1" in reasons[part]
    assert plan.layers["first"] == ("relevance", "total_correlation")
    assert "fisher" not in plan.examples
    assert "task" in kib.audit(model, data, likelihood="categorical", dry_run=True)


def test_layers_that_cost_too_much_are_named(model, data, monkeypatch):
    monkeypatch.setattr(subject, "MAX_UNITS", 6)
    monkeypatch.setattr(effective, "MAX_NUMBERS", 400 * COUNT)
    report = kib.audit(model, data, include=["relevance", "effective"], examples={"effective": 60})
    assert set(report.layers) == {"second", "logits"}
    reasons = {(o.part, o.where): o.reason for o in report.omissions if o.where == "first"}
    assert "more than 6 units" in reasons["relevance", "first"]
    assert "units by weights by examples" in reasons["effective", "first"]
    assert {o.detail for o in report.omissions if o.where == "first"} == {"8 units, 56 weights"}
    assert report.layers["second"].effective is None  # 5 units by 101 weights
    assert report.layers["logits"].effective.num_examples == 60


def test_named_layers_are_measured_whatever_they_are(model, data):
    report = kib.audit(model, data, layers=["dropout", "logits"], include=["relevance"])
    assert set(report.layers) == {"dropout", "logits"}


def test_progress_is_shown_in_keras_style(model, data, capsys):
    kib.audit(model, data, include=["task", "complexity"], verbose=1)
    assert "2/2" in capsys.readouterr().out
    kib.audit(model, data, include=["task"], verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("dtype", ["int32", "uint8", "float32"])
def test_integer_inputs_are_not_sent_to_an_estimator_that_refuses_them(dtype):
    inputs = keras.Input((6,), dtype=dtype)
    outputs = keras.layers.Dense(3, name="out")(keras.layers.Rescaling(0.1)(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    plan = kib.audit(model, np.ones((4, 6), dtype), include=["effective"], dry_run=True)
    reasons = {omission.part: omission.reason for omission in plan.omissions}
    assert ("effective" in plan) == (dtype == "float32")
    assert ("no floats" in reasons.get("effective", "")) == (dtype != "float32")


def test_layers_of_a_nested_model_are_measured_where_they_are_named(data):
    nested = network()
    model = keras.Sequential([keras.Input((6,)), nested, keras.layers.Dense(3, name="head")])
    report = kib.audit(model, data[0], layers=["second", "head"], include=["relevance"])
    assert set(report.layers) == {"second", "head"}
    for name in report.layers:
        measured = report.layers[name]
        states = estimators.hidden_states(model, data[0], name, threshold=measured.threshold)
        assert measured.relevance.to_dict() == estimators.resolution_relevance(states).to_dict()


BAD = {
    "model": (TypeError, {"model": "net"}),
    "empty data": (ValueError, {"data": (np.zeros((0, 6)), np.zeros(0))}),
    "data of unequal length": (ValueError, {"data": (np.zeros((4, 6)), np.zeros(3))}),
    "words for data": (TypeError, {"data": "mnist"}),
    "labels in a list": (ValueError, {"data": [np.zeros((4, 6)), np.zeros(4)]}),
    "a generator": (TypeError, {"data": ((np.zeros((4, 6)), np.zeros(4)) for _ in range(2))}),
    "sample weights": (ValueError, {"data": (np.zeros((4, 6)), np.zeros(4), np.zeros(4))}),
    "an endless dataset": (
        ValueError,
        {"data": tf.data.Dataset.from_tensors(np.zeros((4, 6))).repeat()},
    ),
    "inputs of another shape": (ValueError, {"data": np.zeros((4, 5))}),
    "a dataset without batches": (
        ValueError,
        {"data": tf.data.Dataset.from_tensor_slices((np.zeros((4, 6)), np.zeros(4)))},
    ),
    "unknown part": (ValueError, {"include": ["fishes"]}),
    "a part as a word": (TypeError, {"include": "task"}),
    "no parts": (ValueError, {"include": []}),
    "examples of no part": (ValueError, {"examples": {"complexity": 5}}),
    "examples that are no mapping": (TypeError, {"examples": 100}),
    "one example": (ValueError, {"examples": {"fisher": 1}}),
    "half an example": (TypeError, {"examples": {"fisher": 10.5}}),
    "unknown layer": (ValueError, {"layers": ["third"]}),
    "a layer as a word": (TypeError, {"layers": "first"}),
    "a layer twice": (ValueError, {"layers": ["first", "first"]}),
    "N of zero": (ValueError, {"num_examples": 0}),
    "likelihood": (ValueError, {"likelihood": "poisson"}),
    "seed": (ValueError, {"seed": -1}),
    "seed of another type": (TypeError, {"seed": 0.5}),
    "nuisance too short": (ValueError, {"nuisance": np.arange(3)}),
    "constant nuisance": (ValueError, {"nuisance": np.zeros(COUNT)}),
    "nuisance in words": (TypeError, {"nuisance": ["a"] * COUNT}),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_refused_in_a_sentence_before_any_work(model, data, monkeypatch, case):
    def forbidden(*_, **__):
        raise AssertionError

    monkeypatch.setattr(auditor, "draw_sample", forbidden)
    error, arguments = BAD[case]
    arguments = {"model": model, "data": data, **arguments}
    with pytest.raises(error, match="Received: ") as refused:
        kib.audit(arguments.pop("model"), arguments.pop("data"), **arguments)
    assert "\n" not in str(refused.value)


def test_a_model_that_knows_its_examples_is_not_told_another_number(data):
    network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model = kib.InformationBottleneckModel(network, num_examples=50)
    with pytest.raises(ValueError, match="Received: num_examples=60"):
        kib.audit(model, data, num_examples=60)


def test_refusals_that_differ_in_what_was_received_are_one_reason():
    omissions = [
        Omission("total_correlation", name, f"Units determine each other. Received: {value}")
        for name, value in {"first": "1e-15", "second": "2e-15"}.items()
    ]
    alone = Omission("task", "all", "`data` holds no labels. Received: y=None")
    assert omissions_by_reason([*omissions, alone]) == {
        "Units determine each other.": "total_correlation of first, second",
        "`data` holds no labels. Received: y=None": "task",
    }
