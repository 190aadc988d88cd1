"""A report as one HTML page that needs nothing else."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from keras_infobottleneck.auditing.figures import images_of
from keras_infobottleneck.auditing.measures import MEASURES, PARTS
from keras_infobottleneck.auditing.readings import counterparts

if TYPE_CHECKING:
    from keras_infobottleneck.auditing.report import InformationReport

__all__ = ["page_of"]

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


def page_of(report: InformationReport, baseline: InformationReport | None) -> str:
    """The whole page. Everything that is not written here is escaped."""
    note = ""
    try:
        images = images_of(report)
    except ImportError:
        images, note = {}, f"<p>{NO_PLOTS}</p>"
    short = "".join(f"<li>{escape(sentence)}</li>" for sentence in report.in_short())
    if baseline is not None:
        different = report.differences(baseline)
        short += "".join(f"<li>Beside the baseline: {escape(each)}.</li>" for each in different)
    sections = "".join(_section(report, baseline, part, images.get(part, [])) for part in PARTS)
    left = [omission for omission in report.omissions if omission.part not in PARTS]
    if left:
        sections += f"<h2>Layers left out</h2>{_omissions(left)}"
    title = escape(report.title)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n<ul>{short}</ul>{note}\n"
        f"{sections}</body></html>\n"
    )


def _section(report, baseline, part: str, images: list[tuple[str, str]]) -> str:
    """A part: numbers, plots, how to read them, and what is missing."""
    readings = [reading for reading in report.readings if reading.measure.part == part]
    omitted = [omission for omission in report.omissions if omission.part == part]
    count = report.examples.get(part)
    of = f" <small>({count:,} examples)</small>" if count and readings else ""
    parts = [f'<h2 id="{part}">{escape(PARTS[part])}{of}</h2>']
    if readings:
        before = None
        if baseline is not None:
            before = counterparts(report.readings, baseline.readings)
        parts.append(_numbers(readings, before))
    parts += [
        f'<figure><img src="{address}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for address, caption in images
    ]
    if readings:
        entries = [MEASURES[name] for name in dict.fromkeys(reading.name for reading in readings)]
        parts.append("<dl>")
        parts += [
            f"<dt>{escape(m.label)}</dt><dd>{escape(m.reading)} <i>{escape(m.truth)}.</i></dd>"
            for m in entries
        ]
        parts.append("</dl>")
    if omitted:
        parts.append(_omissions(omitted))
    return "\n".join(parts) + "\n"


def _numbers(readings, before) -> str:
    """The table of a part."""
    head = ["", "value", "unit", *(["baseline"] if before is not None else []), "beside"]
    rows = ["<tr>" + "".join(f'<th scope="col">{name}</th>' for name in head) + "</tr>"]
    for reading in readings:
        cells = [f'<th scope="row">{escape(reading.label)}</th>']
        cells.append(f'<td class="number">{escape(reading.text)}</td>')
        cells.append(f"<td>{escape(reading.measure.unit)}</td>")
        if before is not None:
            match = before.get((reading.name, reading.where))
            cells.append(f'<td class="number">{escape(match.text) if match else ""}</td>')
        cells.append(f"<td>{escape(reading.beside)}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return "<table>\n" + "\n".join(rows) + "\n</table>"


def _omissions(omissions) -> str:
    """What is missing, with reasons."""
    items = "".join(f"<li>Not measured, {escape(str(each))}</li>" for each in omissions)
    return f"<ul>{items}</ul>"
