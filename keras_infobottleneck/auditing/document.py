"""A report to read: as plain text, and as one HTML page that needs nothing else."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from html import escape

from keras_infobottleneck.auditing.entries import Measure, Omission, Reading

__all__ = ["Document"]

# Maximum line width, in characters.
WIDTH = 100

STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #111; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-top: 1px solid #999;
  padding-top: 0.6rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid #ccc;
  vertical-align: top; overflow-wrap: anywhere; }
td.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
dl { font-size: 0.9rem; } dt { font-weight: bold; } dd { margin: 0 0 0.4rem 1.2rem; }
figure { margin: 1rem 0; } img { max-width: 100%; } figcaption { font-size: 0.85rem; }
"""

NO_PLOTS = "Plots are left out: they need matplotlib, the <code>plots</code> extra of this package."


@dataclasses.dataclass(frozen=True)
class Document:
    """What is to be read, part by part, wherever it comes from.

    Attributes:
        title: of the whole.
        sentences: what comes first.
        titles: part to its heading, in the order of the parts.
        readings: every number, in the order of the parts.
        omissions: what is missing, and why.
        examples: part to how many examples it took.
        before: measure and place to the baseline's number; None without a baseline.
    """

    title: str
    sentences: Sequence[str]
    titles: Mapping[str, str]
    readings: Sequence[Reading]
    omissions: Sequence[Omission]
    examples: Mapping[str, int]
    before: Mapping[tuple[str, str], Reading] | None = None

    def text(self) -> str:
        """A block for each part: its numbers in columns, then how to read them."""
        lines = [self.title, *(f"  {sentence}" for sentence in self.sentences)]
        for section in self._sections():
            lines += ["", section.title]
            if section.readings:
                rows = [self._columns, *map(self._cells, section.readings)]
                widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
                lines += ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
            for measure in section.measures:
                lines += _item("*", f"{measure.label} ({measure.truth}): {measure.reading}")
            for omission in section.omissions:
                lines += _item("-", f"not measured, {omission}")
        return "\n".join(lines)

    def page(self, images: Mapping[str, Sequence[tuple[str, str]]] | None) -> str:
        """HTML. Everything that is not written here is escaped.

        Args:
            images: part to addresses and captions; None where none could be drawn.
        """
        title = escape(self.title)
        sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.sentences)
        note = f"<p>{NO_PLOTS}</p>" if images is None else ""
        sections = [
            self._section_of_page(section, (images or {}).get(section.part, ()))
            for section in self._sections()
        ]
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f"<title>{title}</title><style>{STYLE}</style></head>\n"
            f"<body><h1>{title}</h1>\n<ul>{sentences}</ul>{note}\n{''.join(sections)}</body></html>\n"
        )

    def _section_of_page(self, section: _Section, images: Sequence[tuple[str, str]]) -> str:
        """A part: numbers, plots, how to read them, and what is missing."""
        count = self.examples.get(section.part)
        of = f" <small>({count:,} examples)</small>" if count and section.readings else ""
        lines = [f'<h2 id="{section.part}">{escape(section.title)}{of}</h2>']
        if section.readings:
            head = "".join(f'<th scope="col">{name}</th>' for name in self._columns)
            rows = [_row_of_page(self._columns, self._cells(each)) for each in section.readings]
            lines += ["<table>", f"<tr>{head}</tr>", *rows, "</table>"]
        lines += [
            f'<figure><img src="{address}" alt="{escape(caption)}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
            for address, caption in images
        ]
        if section.readings:
            entries = [
                f"<dt>{escape(m.label)}</dt><dd>{escape(m.reading)} <i>{escape(m.truth)}.</i></dd>"
                for m in section.measures
            ]
            lines += ["<dl>", *entries, "</dl>"]
        if section.omissions:
            missing = [f"<li>Not measured, {escape(str(o))}</li>" for o in section.omissions]
            lines.append(f"<ul>{''.join(missing)}</ul>")
        return "\n".join(lines) + "\n"

    def _sections(self) -> list[_Section]:
        """The parts of which there is anything to say, and the layers that none is about."""
        sections = [
            _Section(
                part,
                title,
                [reading for reading in self.readings if reading.part == part],
                [omission for omission in self.omissions if omission.part == part],
            )
            for part, title in {**self.titles, "layers": "Layers left out"}.items()
        ]
        return [section for section in sections if section.readings or section.omissions]

    @property
    def _columns(self) -> list[str]:
        """What the columns of a part's table are called."""
        return ["", "value", "unit", *([] if self.before is None else ["baseline"]), "beside"]

    def _cells(self, reading: Reading) -> list[str]:
        """The row of a number."""
        cells = [reading.label, reading.text, reading.measure.unit]
        if self.before is not None:
            match = self.before.get((reading.name, reading.where))
            cells.append(match.text if match else "")
        return [*cells, reading.beside]


@dataclasses.dataclass(frozen=True)
class _Section:
    """A part with its title, its numbers, and what it lacks."""

    part: str
    title: str
    readings: list[Reading]
    omissions: list[Omission]

    @property
    def measures(self) -> list[Measure]:
        """The kinds of number, each once."""
        return list({each.name: each.measure for each in self.readings}.values())


def _row_of_page(columns: Sequence[str], cells: Sequence[str]) -> str:
    """One number of a table."""
    row = [f'<th scope="row">{escape(cells[0])}</th>']
    for name, cell in zip(columns[1:], cells[1:], strict=True):
        kind = ' class="number"' if name in ("value", "baseline") else ""
        row.append(f"<td{kind}>{escape(cell)}</td>")
    return f"<tr>{''.join(row)}</tr>"


def _item(mark: str, text: str) -> list[str]:
    """A sentence in lines, hanging from a mark; words stay whole."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"  {mark} ",
        subsequent_indent="    ",
        break_on_hyphens=False,
    )
