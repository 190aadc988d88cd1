"""The report of an audit: to query, print, compare and write to files."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from html import escape
from typing import Any

from keras_infobottleneck.arguments import check_file, check_instance
from keras_infobottleneck.auditing.document import Document, Section
from keras_infobottleneck.auditing.entries import (
    SWITCHED_OFF,
    Omission,
    Reading,
    Verdict,
    counterparts,
    omissions_by_reason,
)
from keras_infobottleneck.auditing.figures import images_of
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.network_picture import NetworkPicture
from keras_infobottleneck.auditing.page import page_of, verdicts_of
from keras_infobottleneck.auditing.part import AuditPart
from keras_infobottleneck.auditing.recorded import fields_of_record
from keras_infobottleneck.results.files import write_text
from keras_infobottleneck.results.result import plain

__all__ = ["InformationReport"]

# Parts that are missing for one reason are mentioned at the head of the report from this number on.
MANY_PARTS = 3


@dataclasses.dataclass(frozen=True, repr=False)
class InformationReport(Findings):
    """Report on the information in a network: all measured numbers, to read, compare and store.

    `report.task`, `report.fisher`, `report.weights`, `report.curve`, `report.layers`,
    `report.complexity` and others are the estimators' own results; if one is None,
    `report.omissions` has the reason.

    Attributes:
        parts: Parts of the report, in its order.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)], name="small")
        x = np.ones((20, 8), "float32")
        report = kib.audit(model, x, include=["complexity"], likelihood="normal")
        report.to_json("report.json")
        again = kib.InformationReport.from_json("report.json")
        print(again.model_name, again.differences(report))
        ```

        ```text
        small []
        ```
    """

    parts: tuple[AuditPart, ...] = ()

    @property
    def readings(self) -> list[Reading]:
        """Every number once, with its error and what to compare it with."""
        return [reading for part in self.parts for reading in part.readings(self)]

    def in_short(self) -> list[str]:
        """A summary of the results, in a few sentences."""
        sentences = [sentence for part in self.parts for sentence in part.sentences(self)]
        # Parts that the caller switched off are not reported as missing.
        if missing := [each for each in self.omissions if each.reason != SWITCHED_OFF]:
            sentences += _missing_together(missing)
            count, reasons = len(missing), len(omissions_by_reason(missing))
            things = "thing was" if count == 1 else "things were"
            for_reasons = "reason" if reasons == 1 else f"{reasons} reasons"
            sentences.append(
                f"{count} {things} not measured; the end of the report has the {for_reasons}."
            )
        return sentences

    def verdicts(self) -> dict[str, Verdict]:
        """Maps each part to its conclusion, for readers who have to act on it."""
        found = {part.name: part.verdict(self) for part in self.parts}
        return {name: verdict for name, verdict in found.items() if verdict is not None}

    def numbers(self) -> dict[str, float]:
        """Maps each number to its value, named by its measure and by its layer or weight.

        If a number has a standard error, it follows under its name and `_standard_error`.
        """
        found = {}
        for each in self.readings:
            where = f"/{each.where}" if each.where else ""
            found[f"{each.name}{where}"] = float(each.value)
            if each.standard_error is not None:
                found[f"{each.name}_standard_error{where}"] = float(each.standard_error)
        return found

    def differences(self, baseline: InformationReport) -> list[str]:
        """Lists what was measured differently in two reports, so that numbers cannot be compared.

        Raises:
            TypeError: The baseline is not a report.
        """
        check_instance("baseline", baseline, InformationReport, "an InformationReport")
        ours = {"N": self.num_examples, "seed": self.seed, **self.examples}
        theirs = {"N": baseline.num_examples, "seed": baseline.seed, **baseline.examples}
        found = [
            f"{name}: {ours[name]:,} here, {theirs[name]:,} in the baseline"
            for name in ours
            if name in theirs and ours[name] != theirs[name]
        ]
        alone = len(baseline.readings) - len(counterparts(self.readings, baseline.readings))
        if alone:
            found.append(f"{alone} numbers of the baseline are of layers or measures not here")
        return found

    def table(self, baseline: InformationReport | None = None) -> str:
        """Every number with its unit, what to compare it with, and how to read it.

        Args:
            baseline: Another report, such as that of an earlier network, for an additional column.
        """
        return self._document(baseline).text()

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers, strings and lists, for JSON; NaN and infinity are strings."""
        found = super().to_dict()
        found["parts"] = [
            {
                **part.to_dict(),
                "sentences": list(part.sentences(self)),
                "verdict": verdict.to_dict() if (verdict := part.verdict(self)) else None,
                "nats_by_layer": dict(part.nats_by_layer(self)),
            }
            for part in self.parts
        ]
        readings = [reading.to_dict() for reading in self.readings]
        return plain({**found, "readings": readings}, strict=True)

    @classmethod
    def from_json(cls, path: str | os.PathLike) -> InformationReport:
        """Reads a report written by `to_json`, to print it or to use it as a baseline.

        Readings, sentences, verdicts, omissions and `task` are restored. The other results, such as
        `fisher`, are not stored completely and are None; figures, which need them, are left
        out of its page. Files of version 0.1.0 have readings and omissions only.

        Raises:
            ValueError: The file does not hold a report.
        """
        with open(path, encoding="utf-8") as stream:
            try:
                record = json.load(stream)
            except ValueError as error:
                raise ValueError(
                    "`path` must be a file that `InformationReport.to_json` wrote. "
                    f"Received: no JSON in {os.fspath(path)!r}"
                ) from error
        return cls(**fields_of_record(record))

    def to_json(self, path: str | os.PathLike) -> None:
        """Writes `to_dict()` to a file atomically."""
        check_file("path", path)
        write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False))

    def to_html(self, path: str | os.PathLike, baseline: InformationReport | None = None) -> None:
        """Writes one self-contained page, without scripts or other files, atomically.

        Plots need matplotlib; without it the page says that they are left out.

        Args:
            path: Path of the file, in an existing folder.
            baseline: As in `table`.
        """
        check_file("path", path)
        document = self._document(baseline)
        try:
            images = {part.name: images_of(part.figures(self)) for part in self.parts}
        except ImportError:
            images = None
        write_text(path, page_of(document, images))

    def _document(self, baseline: InformationReport | None) -> Document:
        """The report's content, next to the baseline if there is one."""
        sentences, before = self.in_short(), None
        if baseline is not None:
            sentences += [f"Beside the baseline: {each}." for each in self.differences(baseline)]
            before = counterparts(self.readings, baseline.readings)
        verdicts, sections = self.verdicts(), []
        all_readings = self.readings
        for part in self.parts:
            readings = [reading for reading in all_readings if reading.part == part.name]
            if readings:
                verdict, count = verdicts.get(part.name), self.examples.get(part.name)
                sections.append(Section(part.name, part.title, readings, verdict, count))
        nats = {part.nats_label: part.nats_by_layer(self) for part in self.parts}
        picture = NetworkPicture(
            {label: by_layer for label, by_layer in nats.items() if by_layer},
            self.label_nats,
            self.labels_in_words,
        )
        return Document(self.title, sentences, sections, self.omissions, picture, before)

    def _columns(self) -> dict[str, Sequence[Any]]:
        """A row for each number."""
        readings = self.readings
        names = ("part", "name", "where", "value", "standard_error", "beside")
        return {name: [getattr(each, name) for each in readings] for name in names}

    def _repr_html_(self) -> str:
        """The verdicts to read first, for notebooks."""
        return f"<b>{escape(self.title)}</b>{verdicts_of(self._document(None))}"

    def __repr__(self) -> str:
        found = [f"{self.num_weights:,} weights, N={self.num_examples:,}"]
        if self.task is not None:
            found.append(f"loss {self.task.loss:.4g}")
        if self.weights is not None:
            found.append(f"{self.weights.nats:.4g} nats in the weights")
        found.append(f"{len(self.readings)} readings, {len(self.omissions)} omissions")
        return f"InformationReport({self.model_name!r}: {', '.join(found)})"


def _missing_together(omissions: Sequence[Omission]) -> list[str]:
    """Sentences on whole parts that are missing for one reason, if they are several."""
    parts: dict[str, list[str]] = {}
    for each in omissions:
        if each.where == "all":
            parts.setdefault(each.reason, []).append(each.part)
    return [
        f"The parts {', '.join(names)} could not be measured: {reason}"
        for reason, names in parts.items()
        if len(names) >= MANY_PARTS
    ]
