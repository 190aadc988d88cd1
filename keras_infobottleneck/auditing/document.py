"""A report in readable form, section by section, with its plain text."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence

from keras_infobottleneck.auditing.entries import (
    Measure,
    Omission,
    Reading,
    Verdict,
    omissions_by_reason,
)
from keras_infobottleneck.auditing.network_picture import NetworkPicture

__all__ = ["NOT_MEASURED", "Document", "Section"]

# Maximum line width, in characters.
WIDTH = 100
NOT_MEASURED = "Not measured"
FIRST_VERDICTS = 3


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the report with some content.

    Attributes:
        part: Name of the part.
        title: Heading of the section.
        readings: Numbers of the part.
        verdict: Conclusion from the numbers, or None.
        num_examples: Number of examples used, None for none.
    """

    part: str
    title: str
    readings: Sequence[Reading]
    verdict: Verdict | None = None
    num_examples: int | None = None

    @property
    def measures(self) -> list[Measure]:
        """The kinds of number, each once."""
        return list({each.name: each.measure for each in self.readings}.values())


@dataclasses.dataclass(frozen=True)
class Document:
    """The content of a report, ready to be rendered.

    Attributes:
        title: Title of the report.
        sentences: Summary of the results.
        sections: The parts, in their order.
        omissions: What is missing, and why.
        picture: The network with the nats of its layers.
        before: The baseline's number for each measure and place; None without a baseline.
    """

    title: str
    sentences: Sequence[str]
    sections: Sequence[Section]
    omissions: Sequence[Omission]
    picture: NetworkPicture
    before: Mapping[tuple[str, str], Reading] | None = None

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdicts to read first: those that ask for a change, then those to know about."""
        found = [section.verdict for section in self.sections if section.verdict]
        return sorted(found, key=lambda verdict: -verdict.urgency)[:FIRST_VERDICTS]

    def text(self) -> str:
        """A block for each part: its verdict, its numbers in columns, and how to read them."""
        lines = [self.title, *(f"  {sentence}" for sentence in self.sentences)]
        for section in self.sections:
            lines += ["", section.title]
            verdict = section.verdict
            if verdict:
                lines += _item("=>", verdict.statement)
                lines += _item("  ", f"({verdict.evidence}; {verdict.uncertainty})")
            rows = [self.columns, *map(self.cells, section.readings)]
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            lines += ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
            for measure in section.measures:
                lines += _item("*", f"{measure.label} ({measure.truth}): {measure.reading}")
        if self.omissions:
            lines += ["", NOT_MEASURED]
        for reason, places in omissions_by_reason(self.omissions).items():
            lines += _item("-", f"{places}: {reason}")
        return "\n".join(lines)

    @property
    def columns(self) -> list[str]:
        """Headings of the columns of a part's table."""
        return ["", "value", "unit", *([] if self.before is None else ["baseline"]), "beside"]

    def cells(self, reading: Reading) -> list[str]:
        """The row of one number."""
        cells = [reading.label, reading.text, reading.measure.unit]
        if self.before is not None:
            match = self.before.get((reading.name, reading.where))
            cells.append(match.text if match else "")
        return [*cells, reading.beside]


def _item(mark: str, text: str) -> list[str]:
    """A sentence wrapped into lines, indented after a mark; words are not split."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"  {mark} ",
        subsequent_indent=f"  {' ' * len(mark)} ",
        break_on_hyphens=False,
    )
