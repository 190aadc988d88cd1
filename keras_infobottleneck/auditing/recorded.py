"""A report that was read from a file: its numbers and sentences, without the results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from keras_infobottleneck.auditing.entries import Measure, Omission, Reading, Verdict
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.part import AuditPart
from keras_infobottleneck.auditing.performance import TaskPerformance
from keras_infobottleneck.auditing.registration import PARTS

__all__ = ["RecordedPart", "fields_of_record"]


class RecordedPart(AuditPart):
    """A part that was read from a file: it has numbers and sentences, and measures nothing.

    Args:
        record: Dictionary from `AuditPart.to_dict`, with its `readings`.
    """

    def __init__(self, record: Mapping[str, Any]):
        self.name, self.title = record["name"], record["title"]
        self.nats_label = record["nats_label"]
        self.measures = tuple(Measure(**each) for each in record["measures"])
        self._record = record

    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """Not available.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"A part that was read from a file measures nothing. Received: {self.name}")

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """Every number."""
        for each in self._record["readings"]:
            error = None if each["standard_error"] is None else float(each["standard_error"])
            value = float(each["value"])
            yield self.reading(each["name"], each["where"], value, error, each["beside"])

    def sentences(self, findings: Findings) -> Iterable[str]:
        """The summary of the results."""
        return self._record["sentences"]

    def verdict(self, findings: Findings) -> Verdict | None:
        """The conclusion."""
        verdict = self._record["verdict"]
        return None if verdict is None else Verdict(**verdict)

    def nats_by_layer(self, findings: Findings) -> Mapping[str, float]:
        """Nats by layer, as stored in the report."""
        nats = self._record["nats_by_layer"]
        return {name: float(value) for name, value in nats.items()}


def fields_of_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a report that its record holds, each checked.

    Raises:
        ValueError: The record is not one of a report, or one of its fields has another type.
    """
    try:
        found: dict[str, Any] = {"model_name": _text(record, "model_name")}
        found |= {name: _count(record, name) for name in ("num_weights", "num_examples", "seed")}
        found["examples"] = {
            part: _count(record["examples"], part) for part in _mapping(record, "examples")
        }
        found["task"] = _task(record)
        found["omissions"] = tuple(
            Omission(**{name: _text(each, name) for name in each})
            for each in _list(record, "omissions", dict)
        )
        readings = [_checked_reading(each) for each in _list(record, "readings", dict)]
        parts = _list(record, "parts", dict) if "parts" in record else map(_of_old_file, PARTS)
        found["parts"] = tuple(
            RecordedPart({**part, "readings": [e for e in readings if _part_of(e) == part["name"]]})
            for part in map(_checked_part, parts)
        )
        if len([e for part in found["parts"] for e in part.readings(None)]) < len(readings):
            raise ValueError("readings of a part that is not there")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        words = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"`path` must be a file that `InformationReport.to_json` wrote. Received: {words}"
        ) from error
    return found


def _task(record: Mapping[str, Any]) -> TaskPerformance | None:
    """The numbers of the task, and the name of its likelihood."""
    if record["task"] is None:
        return None
    task = _mapping(record, "task")
    fields: dict[str, Any] = {
        name: task[name] if task[name] is None else _number(task, name)
        for name in task
        if name != "likelihood"
    }
    fields["num_examples"] = _count(task, "num_examples")
    for name in ("loss", "loss_standard_error"):
        _number(task, name)
    return TaskPerformance(**{**fields, "likelihood": _text(task, "likelihood")})


def _checked_reading(reading: Mapping[str, Any]) -> Mapping[str, Any]:
    """A reading whose names are strings and whose numbers are numbers."""
    for name in ("name", "where", "beside"):
        _text(reading, name)
    _number(reading, "value")
    if reading["standard_error"] is not None:
        _number(reading, "standard_error")
    return reading


def _checked_part(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part whose names and sentences are strings."""
    for name in ("name", "title", "nats_label"):
        _text(part, name)
    for measure in _list(part, "measures", dict):
        for name in measure:
            _text(measure, name)
    _list(part, "sentences", str)
    for name in _mapping(part, "nats_by_layer"):
        _number(part["nats_by_layer"], name)
    if part["verdict"] is not None:
        verdict = _mapping(part, "verdict")
        for name in ("statement", "evidence", "uncertainty"):
            _text(verdict, name)
        _count(verdict, "urgency")
    return part


def _text(record: Mapping[str, Any], name: str) -> str:
    """A field that is a string."""
    if not isinstance(record[name], str):
        raise ValueError(f"{name}={record[name]!r}, no text")
    return record[name]


def _count(record: Mapping[str, Any], name: str) -> int:
    """A field that is a non-negative integer."""
    value = record[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name}={value!r}, no count")
    return value


def _number(record: Mapping[str, Any], name: str) -> float | str:
    """A field that is a number; infinities and NaN are written as strings."""
    value = record[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number and value not in ("inf", "-inf", "nan"):
        raise ValueError(f"{name}={value!r}, no number")
    return value if is_number else float(value)


def _mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A field that is a mapping."""
    if not isinstance(record[name], Mapping):
        raise ValueError(f"{name}={record[name]!r}, no mapping")
    return record[name]


def _list(record: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    """A field that is a list whose entries have one type."""
    if not isinstance(record[name], list) or not all(isinstance(e, kind) for e in record[name]):
        raise ValueError(f"{name} that are no list of {kind.__name__}")
    return record[name]


def _part_of(reading: Mapping[str, Any]) -> str | None:
    """The part of a reading; files of version 0.1.0 lack it, but it can be looked up."""
    if "part" in reading:
        return reading["part"]
    of = {measure.name: part.name for part in PARTS for measure in part.measures}
    return of.get(reading["name"])


def _of_old_file(part: AuditPart) -> dict[str, Any]:
    """The entries about a part that files of version 0.1.0 lack."""
    return {**part.to_dict(), "sentences": [], "verdict": None, "nats_by_layer": {}}
