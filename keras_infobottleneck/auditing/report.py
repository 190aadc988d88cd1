"""What a network knows, as one result: to be asked, read and written to files."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from typing import Any

import numpy as np

from keras_infobottleneck.arguments import check_file, check_instance
from keras_infobottleneck.auditing.document import Document
from keras_infobottleneck.auditing.entries import Reading, counterparts
from keras_infobottleneck.auditing.figures import images_of
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.part import AuditPart
from keras_infobottleneck.results.files import write_text

__all__ = ["InformationReport"]


@dataclasses.dataclass(frozen=True, repr=False)
class InformationReport(Findings):
    """What a network knows: every number of its `Findings`, to read, to compare and to keep.

    `report.task`, `report.fisher`, `report.weights`, `report.curve`, `report.layers`,
    `report.complexity` and the like are the estimators' own results, None where
    `report.omissions` says why.

    Attributes:
        parts: of the report, in its order.
    """

    parts: tuple[AuditPart, ...] = ()

    @property
    def readings(self) -> list[Reading]:
        """Every number once, with its error and what to compare it with."""
        return [reading for part in self.parts for reading in part.readings(self)]

    def in_short(self) -> list[str]:
        """A few sentences on what was found."""
        sentences = [sentence for part in self.parts for sentence in part.sentences(self)]
        if self.omissions:
            count = len(self.omissions)
            things = "thing was" if count == 1 else "things were"
            sentences.append(f"{count} {things} not measured; the reasons are below.")
        return sentences

    def differences(self, baseline: InformationReport) -> list[str]:
        """In what two reports were measured differently, so that their numbers are not alike.

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
        """Plain numbers, strings and lists, for JSON; infinite numbers and NaN are strings."""
        found = super().to_dict()
        del found["parts"]
        return _plain({**found, "readings": [reading.to_dict() for reading in self.readings]})

    def to_json(self, path: str | os.PathLike) -> None:
        """Writes `to_dict()`; the file is there whole or not at all."""
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
        write_text(path, document.page(images))

    def _document(self, baseline: InformationReport | None) -> Document:
        """What there is to read, beside the baseline where there is one."""
        sentences, before = self.in_short(), None
        if baseline is not None:
            sentences += [f"Beside the baseline: {each}." for each in self.differences(baseline)]
            before = counterparts(self.readings, baseline.readings)
        titles = {part.name: part.title for part in self.parts}
        return Document(
            self.title, sentences, titles, self.readings, self.omissions, self.examples, before
        )

    def __repr__(self) -> str:
        found = [f"{self.num_weights:,} weights, N={self.num_examples:,}"]
        if self.task is not None:
            found.append(f"loss {self.task.loss:.4g}")
        if self.weights is not None:
            found.append(f"{self.weights.nats:.4g} nats in the weights")
        found.append(f"{len(self.readings)} readings, {len(self.omissions)} omissions")
        return f"InformationReport({self.model_name!r}: {', '.join(found)})"


def _plain(value: Any) -> Any:
    """For JSON, which knows no arrays, no infinity and no NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        # Not the value itself: an `Estimate` is a float whose text is not a number.
        return float(value) if math.isfinite(value) else str(float(value))
    return int(value) if isinstance(value, np.integer) else value
