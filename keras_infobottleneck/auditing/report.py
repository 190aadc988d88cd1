"""What a network knows, as one result: to be asked, read and written to files."""

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

# This many parts missing for one reason are said at the head of the report.
MANY_PARTS = 3


@dataclasses.dataclass(frozen=True, repr=False)
class InformationReport(Findings):
    """Report on the information in a network: every number measured, to read, compare and keep.

    `report.task`, `report.fisher`, `report.weights`, `report.curve`, `report.layers`,
    `report.complexity` and the like are the estimators' own results, None where
    `report.omissions` says why.

    Attributes:
        parts: of the report, in its order.

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
        """A few sentences on what was found."""
        sentences = [sentence for part in self.parts for sentence in part.sentences(self)]
        # What the caller switched off is no news.
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
        """Maps each part to its conclusion, for somebody who has to act on it."""
        found = {part.name: part.verdict(self) for part in self.parts}
        return {name: verdict for name, verdict in found.items() if verdict is not None}

    def numbers(self) -> dict[str, float]:
        """Maps each number to its value, named by its measure and by its layer or weight.

        Where a number has a standard error it follows, under its name and `_standard_error`.
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
            TypeError: a baseline that is no report.
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
            baseline: another report, such as of the network before, for one more column.
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
        """Reads what `to_json` wrote, to be read again and to be a baseline.

        Readings, sentences, verdicts, omissions and `task` come back; the other results, such as
        `fisher`, are not in the file whole and are None. Figures, which are drawn from them, are
        left out of its page. Files of version 0.1.0 have readings and omissions only.

        Raises:
            ValueError: a file that holds no report.
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
        """Writes `to_dict()` to a file, as a whole or not at all."""
        check_file("path", path)
        write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False))

    def to_html(self, path: str | os.PathLike, baseline: InformationReport | None = None) -> None:
        """Writes one self-contained page: no scripts, no other files, whole or not at all.

        Plots need matplotlib; without it the page says that they are left out.

        Args:
            path: of the file, in a folder that exists.
            baseline: as of `table`.
        """
        check_file("path", path)
        document = self._document(baseline)
        try:
            images = {part.name: images_of(part.figures(self)) for part in self.parts}
        except ImportError:
            images = None
        write_text(path, page_of(document, images))

    def _document(self, baseline: InformationReport | None) -> Document:
        """What there is to read, beside the baseline where there is one."""
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
        """What to read first, for notebooks."""
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
    """Whole parts that are missing for one reason, where they are several: most of a report."""
    parts: dict[str, list[str]] = {}
    for each in omissions:
        if each.where == "all":
            parts.setdefault(each.reason, []).append(each.part)
    return [
        f"The parts {', '.join(names)} could not be measured: {reason}"
        for reason, names in parts.items()
        if len(names) >= MANY_PARTS
    ]
