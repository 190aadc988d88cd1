"""A report as plain text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from keras_infobottleneck.auditing.measures import MEASURES, PARTS
from keras_infobottleneck.auditing.readings import counterparts

if TYPE_CHECKING:
    from keras_infobottleneck.auditing.report import InformationReport

__all__ = ["text_table"]

WIDTH = 100


def text_table(report: InformationReport, baseline: InformationReport | None) -> str:
    """A block for each part: its numbers in columns, then how to read them."""
    readings = report.readings
    before = {} if baseline is None else counterparts(readings, baseline.readings)
    lines = [f"{report.title}", *(f"  {sentence}" for sentence in report.in_short())]
    if baseline is not None:
        lines += [f"  beside the baseline: {each}" for each in report.differences(baseline)]
    for part, title in PARTS.items():
        of_part = [reading for reading in readings if reading.measure.part == part]
        omitted = [omission for omission in report.omissions if omission.part == part]
        if not of_part and not omitted:
            continue
        lines += ["", title]
        head = ["", "value", "unit", *(["baseline"] if baseline is not None else []), "beside"]
        rows = [head]
        for reading in of_part:
            row = [reading.label, reading.text, reading.measure.unit]
            if baseline is not None:
                match = before.get((reading.name, reading.where))
                row.append("" if match is None else match.text)
            rows.append([*row, reading.beside])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        if of_part:
            lines += ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        for name in dict.fromkeys(reading.name for reading in of_part):
            measure = MEASURES[name]
            text = f"{measure.label} ({measure.truth}): {measure.reading}"
            lines += _item("*", text)
        for omission in omitted:
            lines += _item("-", f"not measured, {omission}")
    left = [omission for omission in report.omissions if omission.part not in PARTS]
    if left:
        lines += ["", "Layers left out"]
        for omission in left:
            lines += _item("-", f"{omission.where}: {omission.reason}")
    return "\n".join(lines)


def _item(mark: str, text: str) -> list[str]:
    """A sentence in lines, hanging from a mark; words stay whole."""
    first, rest = f"  {mark} ", "    "
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )
