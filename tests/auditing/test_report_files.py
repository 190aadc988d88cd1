"""A report written to a file and read from it."""

import json

import pytest

import keras_infobottleneck as kib


def test_a_report_comes_back_from_its_file(report, other, page, tmp_path):
    report.to_json(tmp_path / "report.json")
    back = kib.InformationReport.from_json(tmp_path / "report.json")
    assert back.readings == report.readings
    assert back.in_short() == report.in_short()
    assert back.verdicts() == report.verdicts()
    assert back.omissions == report.omissions
    assert back.task == report.task
    assert back.table() == report.table()
    assert back.numbers() == report.numbers()
    back.to_json(tmp_path / "again.json")
    again = kib.InformationReport.from_json(tmp_path / "again.json")
    assert again.table(baseline=other) == report.table(baseline=other)
    back.to_html(tmp_path / "back.html")
    text = (tmp_path / "back.html").read_text("utf-8")
    assert text[: text.index("<details")] == page[: page.index("<details")]


def test_a_report_of_the_first_version_is_a_baseline(report, tmp_path):
    """Its files had no parts, and readings without them."""
    old = report.to_dict()
    del old["parts"]
    for reading in old["readings"]:
        del reading["part"]
    for omission in old["omissions"]:
        del omission["detail"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    back = kib.InformationReport.from_json(tmp_path / "old.json")
    assert back.readings == report.readings
    assert report.differences(back) == []


@pytest.mark.parametrize("content", ["{", "[]", "3", "{}", '{"model_name": "net"}', "\x00"])
def test_a_file_that_is_no_report_is_refused(content, tmp_path):
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(ValueError, match="Received: ") as refused:
        kib.InformationReport.from_json(tmp_path / "other.json")
    assert "\n" not in str(refused.value)


WRONG_FIELDS = {
    "model_name": 3,
    "num_weights": "many",
    "num_examples": -1,
    "seed": 0.5,
    "examples": {"task": True},
    "omissions": [{"part": "task", "where": None, "reason": "none"}],
    "task/loss": "little",
    "task/accuracy": [1],
    "task/likelihood": 1,
    "readings/0/name": "no such measure",
    "readings/0/value": None,
    "readings/0/value ": "0.5",
    "readings/0/standard_error": "small",
    "readings/0/part": "elsewhere",
    "readings/0/beside": {},
    "parts/0/title": None,
    "parts/0/sentences": "one",
    "parts/0/measures/0/unit": 1,
    "parts/0/verdict/urgency": "high",
    "parts/0/nats_by_layer": {"first": "two"},
}


@pytest.mark.parametrize("path", WRONG_FIELDS)
def test_every_field_of_a_file_is_checked(path, report, tmp_path):
    record = report.to_dict()
    *way, last = path.strip().split("/")
    place = record
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[last] = WRONG_FIELDS[path]
    (tmp_path / "wrong.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="Received: ") as refused:
        kib.InformationReport.from_json(tmp_path / "wrong.json")
    assert "\n" not in str(refused.value)
