"""A report that was read from a file: what it said, without the results themselves."""

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
    """A part as a file has it: its numbers and sentences are there, and nothing is measured.

    Args:
        record: of `AuditPart.to_dict`, with its `readings`.
    """

    def __init__(self, record: Mapping[str, Any]):
        self.name, self.title = record["name"], record["title"]
        self.nats_label = record["nats_label"]
        self.measures = tuple(Measure(**each) for each in record["measures"])
        self._record = record

    def measure(self, exam: Examination) -> Mapping[str, Any]:
        """Nothing.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"A part that was read from a file measures nothing. Received: {self.name}")

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """Every number."""
        for each in self._record["readings"]:
            error = None if each["standard_error"] is None else float(each["standard_error"])
            value = float(each["value"])
            yield self.reading(each["name"], each["where"], value, error, each["beside"])

    def sentences(self, findings: Findings) -> Iterable[str]:
        """What was found."""
        return self._record["sentences"]

    def verdict(self, findings: Findings) -> Verdict | None:
        """What it meant."""
        verdict = self._record["verdict"]
        return None if verdict is None else Verdict(**verdict)

    def nats_by_layer(self, findings: Findings) -> Mapping[str, float]:
        """As they were."""
        nats = self._record["nats_by_layer"]
        return {name: float(value) for name, value in nats.items()}


def fields_of_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a report that its record holds.

    Raises:
        ValueError: what is no record of a report.
    """
    try:
        names = ("model_name", "num_weights", "num_examples", "examples", "seed")
        found = {name: record[name] for name in names}
        task = record["task"]
        found["task"] = None if task is None else TaskPerformance(**task)
        found["omissions"] = tuple(Omission(**each) for each in record["omissions"])
        readings = record["readings"]
        found["parts"] = tuple(
            RecordedPart({**part, "readings": [e for e in readings if _part_of(e) == part["name"]]})
            for part in record.get("parts", [_of_old_file(part) for part in PARTS])
        )
        for part in found["parts"]:
            list(part.readings(None))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        words = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"`path` must be a file that `InformationReport.to_json` wrote. Received: {words}"
        ) from error
    return found


def _part_of(reading: Mapping[str, Any]) -> str | None:
    """The part of a reading; files of version 0.1.0 do not tell, but it can be looked up."""
    if "part" in reading:
        return reading["part"]
    of = {measure.name: part.name for part in PARTS for measure in part.measures}
    return of.get(reading["name"])


def _of_old_file(part: AuditPart) -> dict[str, Any]:
    """What files of version 0.1.0 did not write about a part."""
    return {**part.to_dict(), "sentences": [], "verdict": None, "nats_by_layer": {}}
