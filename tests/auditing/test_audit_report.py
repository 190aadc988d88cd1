"""A report as text, JSON and a page."""

import dataclasses
import html
import json
import math
import pathlib
import re
import sys
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

from keras_infobottleneck.auditing.entries import Measure, Reading, counterparts, number_in_words
from keras_infobottleneck.auditing.registration import PARTS
from tests.support.audited_network import NASTY
from tests.support.verdicts_of_parts import check_verdicts


class Outline(HTMLParser):
    """Which elements a page has, what they say, and which addresses it names."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.addresses, self.open = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "action", "data")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def test_table_has_every_number_and_how_to_read_it(report):
    table = " ".join(report.table().split())
    assert len(report.readings) > 20
    for reading in report.readings:
        assert f"{reading.label} {reading.text} {reading.measure.unit}" in table
        assert " ".join(reading.measure.reading.split()) in table
    for sentence in report.in_short():
        assert sentence in table
    assert len({(r.name, r.where) for r in report.readings}) == len(report.readings)


def test_every_measure_says_unit_truth_and_reading():
    measures = [measure for part in PARTS for measure in part.measures]
    assert len({measure.name for measure in measures}) == len(measures) > 20
    for measure in measures:
        assert all(dataclasses.astuple(measure))
        assert measure.reading.endswith(".")


def test_json_comes_back_whole(report, tmp_path):
    report.to_json(tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text("utf-8")

    def refused(constant):
        raise AssertionError(constant)

    back = json.loads(text, parse_constant=refused)
    assert back == report.to_dict()
    assert back["weights"]["nats"] == report.weights.nats
    assert back["layers"]["noisy"]["activations"]["nats"] == report.layers["noisy"].activations.nats
    assert back["fisher"]["trace"] == float(report.fisher.trace())
    assert len(back["readings"]) == len(report.readings)
    assert [tuple(o.values()) for o in back["omissions"]] == [
        dataclasses.astuple(o) for o in report.omissions
    ]


def test_infinity_is_a_string_that_is_a_number(report):
    felt = report.layers["noisy"].effective
    per_example = np.array([math.inf, math.inf, 1.0, 2.0, 3.0])
    felt = dataclasses.replace(felt, nats=math.inf, per_example=per_example)
    layer = dataclasses.replace(report.layers["noisy"], effective=felt)
    infinite = dataclasses.replace(report, layers={"noisy": layer})
    assert float(infinite.to_dict()["layers"]["noisy"]["effective"]["nats"]) == math.inf
    (reading,) = [each for each in infinite.readings if each.name == "effective_information"]
    assert reading.text == "infinite"
    assert "5 examples; infinite for 2 of them, as some combination of units" in reading.beside
    assert reading.beside in infinite.table()


def test_page_has_a_section_for_each_part_and_every_number(report, page):
    outline = Outline(page)
    assert not outline.open  # every element is closed
    text = " ".join(" ".join(outline.text).split())
    for part in PARTS:
        assert part.title in text
    for reading in report.readings:
        assert reading.label in text
        assert reading.text in text
    for omission in report.omissions:
        assert omission.reason in text
        assert omission.place in text
    assert outline.tags.count("h2") == len(PARTS) + 1  # and what was not measured


def test_page_needs_nothing_else(page):
    outline = Outline(page)
    assert not {"script", "link", "iframe", "object"} & set(outline.tags)
    assert len(outline.addresses) >= 8
    assert all(address.startswith("data:image/png;base64,") for address in outline.addresses)
    assert not re.search(r"https?:|//|@import|url\(", re.sub(r"base64,[^\"]*", "", page))


def test_page_escapes_names(page):
    assert "<script>" not in page
    assert "&lt;script&gt;net" in page
    assert "a<b>" not in page
    assert NASTY in " ".join(Outline(page).text)


def test_plots_have_words_for_those_who_do_not_see_them(page):
    texts = re.findall(r'<img src="[^"]*" alt="([^"]*)"', page)
    assert len(texts) >= 8
    assert all(len(text) > 10 for text in texts)


def test_same_report_gives_same_page(report, page, tmp_path):
    report.to_html(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text("utf-8") == page


def test_the_same_weights_are_matched_though_their_paths_changed():
    def reading(where, value, name="code_of"):
        return Reading("weights", Measure(name, "", "", "", ""), where, value)

    here = [
        reading("dense/kernel", 1.0),
        reading("a/out/kernel", 2.0),
        reading("b/out/kernel", 3.0),
    ]
    before = [reading("net/dense/kernel", 4.0), reading("out/kernel", 5.0)]
    found = counterparts(here, before)
    # Two weights end in "out/kernel": neither is taken for the one before.
    assert {key: match.value for key, match in found.items()} == {("code_of", "dense/kernel"): 4.0}
    assert counterparts(here, here).keys() == {(r.name, r.where) for r in here}


def test_without_matplotlib_the_page_says_so(report, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    report.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "need matplotlib" in page
    assert "<img" not in page
    assert Outline(page).tags.count("table") >= 7


def test_baseline_stands_beside_its_own_measure(report, other, tmp_path):
    table = report.table(baseline=other)
    lines = [line.strip() for line in table.splitlines()]
    for reading in other.readings:
        (line,) = [line for line in lines if line.startswith(f"{reading.label}  ")]
        assert reading.text in line.split(reading.measure.unit)[-1]
    assert "fisher: 50 here, 20 in the baseline" in table
    report.to_html(tmp_path / "both.html", baseline=other)
    page = (tmp_path / "both.html").read_text("utf-8")
    assert page.count(">baseline</th>") == page.count("<table>")
    assert "fisher: 50 here, 20 in the baseline" in page
    assert report.differences(report) == []
    alone = len(report.readings) - len(other.readings)
    assert f"{alone} numbers of the baseline are of" in other.table(baseline=report)


def test_numbers_are_those_of_the_readings(report):
    numbers = report.numbers()
    errors = [each for each in report.readings if each.standard_error is not None]
    assert len(numbers) == len(report.readings) + len(errors)
    assert numbers["loss_standard_error"] == report.task.loss_standard_error
    found = report.layers[NASTY].total_correlation
    assert numbers[f"total_correlation_standard_error/{NASTY}"] == found.standard_error
    assert numbers["loss"] == report.task.loss
    assert numbers[f"resolution/{NASTY}"] == report.layers[NASTY].relevance.resolution


def test_every_part_says_what_it_means(report):
    check_verdicts(report)
    verdicts = report.verdicts()
    assert verdicts.keys() == {part.name for part in PARTS}
    held = verdicts["weights"]
    nats, label = report.weights.nats_per_example, report.task.label_entropy
    assert ("more than" in held.statement) == (nats > label)
    noisy = "too noisy" in held.statement
    assert held.urgency == (2 if nats > label else 1 if noisy else 0)


def test_the_page_begins_with_three_verdicts_and_the_network(report, page):
    first = page[: page.index("<details")]
    assert first.count('<li class="urgency') == 3
    urgent = max(verdict.urgency for verdict in report.verdicts().values())
    assert first.index(f"urgency{urgent}") < first.index('class="network"')
    for name in ("noisy", html.escape(NASTY), "out"):
        assert f'<span class="layer">{name}</span>' in first
    assert f"{report.task.label_entropy:.3g} nats" in first
    assert page.count("<details id=") == len(PARTS) + 1
    for section in page.split("<details id=")[2:-1]:  # figures before numbers before caveats
        if "<figure>" in section:
            assert section.index("<figure>") < section.index("<table>") < section.index("<dl>")


@pytest.mark.parametrize("write", ["to_html", "to_json"])
def test_files_are_written_whole_or_not_at_all(report, write, tmp_path, monkeypatch):
    path = tmp_path / "report"
    path.write_text("before")

    def failing(self):
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(type(report), "readings", property(failing))
        with pytest.raises(RuntimeError):
            getattr(report, write)(path)
    assert path.read_text() == "before"
    getattr(report, write)(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text("utf-8") != "before"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda report, folder: report.to_html(folder / "missing" / "a.html"), ValueError),
        (lambda report, folder: report.to_json(folder / "missing" / "a.json"), ValueError),
        (lambda report, folder: report.to_html(folder), ValueError),
        (lambda report, folder: report.table(baseline="before"), TypeError),
        (lambda report, folder: report.to_html(folder / "a.html", baseline=3), TypeError),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(report, call, error, tmp_path):
    with pytest.raises(error, match="Received: ") as refused:
        call(report, pathlib.Path(tmp_path))
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_numbers_have_the_digits_of_their_errors():
    assert number_in_words(986.87, 2.84) == "986.9 ± 2.8"
    assert number_in_words(-0.0817, 0.31) == "-0.08 ± 0.31"
    assert number_in_words(3281.4, 521.0) == "3,281 ± 521"
    assert number_in_words(0.98764, 0.00038) == "0.98764 ± 0.00038"
    assert number_in_words(12345.6) == "12,346"
    assert number_in_words(0.0123456) == "0.01235"
    assert number_in_words(math.inf, math.inf) == "infinite"
    assert number_in_words(1.5, 0.0) == number_in_words(1.5, math.nan) == "1.5"


def test_repr_is_one_line(report):
    assert repr(report).startswith("InformationReport('<script>net': ")
    assert "\n" not in repr(report)
    assert len(repr(report)) < 200
