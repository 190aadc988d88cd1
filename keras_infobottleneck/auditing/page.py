"""A report as one self-contained HTML page, without scripts or other files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from keras_infobottleneck.auditing.document import NOT_MEASURED, Document, Section
from keras_infobottleneck.auditing.entries import Reading, Verdict, omissions_by_reason
from keras_infobottleneck.auditing.style import STYLE

__all__ = ["page_of", "verdicts_of"]

NO_PLOTS = "Plots are left out: they need matplotlib, the <code>plots</code> extra of this package."

Images = Mapping[str, Sequence[tuple[str, str]]]


def page_of(document: Document, images: Images | None) -> str:
    """The page. All text from the document is escaped.

    Args:
        document: The content of the report.
        images: Addresses and captions of images, by part; None if none could be drawn.
    """
    title = escape(document.title)
    sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in document.sentences)
    note = f"<p>{NO_PLOTS}</p>" if images is None else ""
    sections = [
        _section(document, section, (images or {}).get(section.part, ()))
        for section in document.sections
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{title}</h1>\n{verdicts_of(document)}\n{document.picture.html()}\n"
        f"<ul>{sentences}</ul>{note}\n{''.join(sections)}{_omissions(document)}</body></html>\n"
    )


def verdicts_of(document: Document) -> str:
    """The verdicts to read first."""
    cards = [
        f'<li class="urgency{each.urgency}"><p>{escape(each.statement)}</p>{_grounds(each)}</li>'
        for each in document.verdicts
    ]
    return f'<ul class="verdicts">{"".join(cards)}</ul>' if cards else ""


def _grounds(verdict: Verdict) -> str:
    """The grounds of a verdict."""
    return f"<small>{escape(verdict.evidence)}; {escape(verdict.uncertainty)}</small>"


def _section(document: Document, section: Section, images: Sequence[tuple[str, str]]) -> str:
    """A collapsed section for a part: figures, verdict, numbers, and how to read them."""
    of = f" <small>({section.num_examples:,} examples)</small>" if section.num_examples else ""
    verdict = section.verdict
    said = f"<span>{escape(verdict.statement)}</span>" if verdict else ""
    lines = [
        f'<details id="{escape(section.part)}"><summary><h2>{escape(section.title)}{of}</h2>'
        f"{said}</summary>"
    ]
    lines += [
        f'<figure><img src="{address}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for address, caption in images
    ]
    if verdict:
        lines.append(f"<p>{_grounds(verdict)}</p>")
    by_weight = [reading for reading in section.readings if "/" in reading.where]
    others = [reading for reading in section.readings if "/" not in reading.where]
    lines += _table(document, others)
    if by_weight:
        lines.append(f"<details><summary>By weight ({len(by_weight)} numbers)</summary>")
        lines += [*_table(document, by_weight), "</details>"]
    entries = [
        f"<dt>{escape(m.label)}</dt><dd>{escape(m.reading)} <i>{escape(m.truth)}.</i></dd>"
        for m in section.measures
    ]
    return "\n".join([*lines, "<dl>", *entries, "</dl></details>\n"])


def _table(document: Document, readings: Sequence[Reading]) -> list[str]:
    """Numbers in rows; on a narrow screen each row is a separate block."""
    if not readings:
        return []
    head = "".join(f'<th scope="col">{name}</th>' for name in document.columns)
    rows = [_row(document.columns, document.cells(each)) for each in readings]
    return ["<table>", f"<thead><tr>{head}</tr></thead><tbody>", *rows, "</tbody></table>"]


def _row(columns: Sequence[str], cells: Sequence[str]) -> str:
    """One number of a table."""
    row = [f'<th scope="row">{escape(cells[0])}</th>']
    for name, cell in zip(columns[1:], cells[1:], strict=True):
        kind = ' class="number"' if name in ("value", "baseline") else ""
        row.append(f'<td{kind} title="{name}">{escape(cell)}</td>')
    return f"<tr>{''.join(row)}</tr>"


def _omissions(document: Document) -> str:
    """A section of what is missing, each reason once."""
    groups = omissions_by_reason(document.omissions)
    if not groups:
        return ""
    items = [f"<li>{escape(p)}: {escape(reason)}</li>" for reason, p in groups.items()]
    return (
        f'<details id="omissions"><summary><h2>{NOT_MEASURED}</h2><span>{len(groups)} reasons'
        f"</span></summary><ul>{''.join(items)}</ul></details>\n"
    )
