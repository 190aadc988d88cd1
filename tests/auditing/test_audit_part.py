"""A tenth part of the report is one class: it is found wherever the others are."""

import json
from functools import partial

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

import keras_infobottleneck as kib
from keras_infobottleneck import plots
from keras_infobottleneck.auditing import AuditPart, Drawing, LayerPart, Measure, Verdict
from tests.support.audited_networks import examples, network


class Norms(AuditPart):
    """Of the whole model, without data."""

    name, title = "norms", "Size of the weights"
    measures = (Measure("norm", "norm", "units of weight", "exact", "It grows with the size."),)

    def measure(self, exam):
        return {"norms": {w.path: float(np.linalg.norm(w)) for w in exam.model.trainable_weights}}

    def readings(self, findings):
        for path, norm in findings.others.get("norms", {}).items():
            yield self.reading("norm", path, norm, None, "null: 0")

    def sentences(self, findings):
        yield "Its weights have a size."

    def verdict(self, findings):
        return Verdict("Nothing needs to be done.", "the norms", "none")

    def figures(self, findings):
        draw = partial(plots.plot_information_by_layer, findings.others["norms"], label="norm")
        yield Drawing("Norm by weight.", draw)


class Firing(LayerPart):
    """Of layers, with examples of its own number, which it cannot measure everywhere."""

    name, title, examples = "firing", "How often units are on", 40
    measures = (Measure("firing", "share on", "share", "exact", "A sigmoid is always on."),)

    def reason_to_omit_layer(self, subject, layer, num_examples):
        return f"too narrow for {num_examples} examples" if layer.num_units < 6 else None

    def measure_layer(self, exam, layer):
        z = exam.activations(self.name, layer)
        assert z.shape == (40, layer.num_units)
        return {"firing": np.mean(z > 0, 0)}

    def readings(self, findings):
        for name, share in findings.results_of_layers("firing").items():
            yield self.reading("firing", name, float(share.mean()))


class Failing(AuditPart):
    """One that its estimator refuses."""

    name, title = "failing", "What cannot be had"

    def measure(self, exam):
        raise ValueError("No norms today. Received: Sunday")

    def readings(self, findings):
        return []


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def report(model):
    parts = [Norms(), Firing(), Failing()]
    return kib.audit(model, examples(), parts=parts, include=["norms", "firing", "failing", "task"])


def test_a_tenth_part_is_in_the_plan(model, capsys):
    plan = kib.audit(model, examples(), parts=[Norms(), Firing()], dry_run=True)
    assert "norms: Size of the weights" in capsys.readouterr().out
    assert "firing: How often units are on, at most 40 examples\n    of first\n" in str(plan)
    assert plan.examples["firing"] == 40
    assert "firing" in plan.layers["first"]
    assert ("firing", "second") in {(o.part, o.where) for o in plan.omissions}
    assert "norms" not in kib.audit(model, examples(), dry_run=True)


def test_a_tenth_part_is_measured_and_read(report, model):
    found = {(r.name, r.where): r.value for r in report.readings if r.part in ("norms", "firing")}
    sizes = {("norm", w.path): np.linalg.norm(w) for w in model.trainable_weights}
    assert found == {**sizes, ("firing", "first"): report.layers["first"].others["firing"].mean()}
    assert report.others["norms"].keys() == {path for _, path in sizes}
    assert report.task == kib.audit(model, examples(), include=["task"]).task


def test_a_tenth_part_is_in_table_page_and_json(report, tmp_path):
    table = " ".join(report.table().split())
    for words in ("Size of the weights", "null: 0", "It grows with the size.", "share on"):
        assert words in table
    assert "Its weights have a size." in report.in_short()
    report.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Size of the weights" in page
    assert 'alt="Norm by weight."' in page
    report.to_json(tmp_path / "report.json")
    back = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert back["norms"] == report.others["norms"]
    assert back["layers"]["first"]["firing"] == report.layers["first"].others["firing"].tolist()
    assert sum(reading["name"] == "norm" for reading in back["readings"]) == 6


def test_what_a_tenth_part_cannot_measure_is_named_with_the_reason(report):
    reasons = {(o.part, o.where): o.reason for o in report.omissions}
    assert reasons["firing", "second"] == "too narrow for 40 examples"
    assert reasons["failing", "all"] == "No norms today. Received: Sunday"


class Nameless(Norms):
    name = ""


class Taken(Norms):
    name = "fisher"


class OfAField(Norms):
    name, measures = "seed", ()


class OfAMeasure(Norms):
    name, measures = "size", (Measure("loss", "size", "1", "exact", "None."),)


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ([Nameless()], ValueError),
        ([Taken()], ValueError),
        ([OfAField()], ValueError),
        ([OfAMeasure()], ValueError),
        ([Norms(), Norms()], ValueError),
        ([Norms], TypeError),
        (Norms(), TypeError),
        ("norms", TypeError),
    ],
)
def test_parts_that_cannot_be_used_are_refused_in_a_sentence(model, parts, error):
    with pytest.raises(error, match="Received: ") as refused:
        kib.audit(model, examples(), parts=parts)
    assert "\n" not in str(refused.value)
