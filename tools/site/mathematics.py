"""Formulas as MathML, written when the site is built: browsers draw it without any script."""

import html
import re

from latex2mathml.converter import convert

INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
# What the converter leaves as it is: commands and environments that it does not know.
UNKNOWN = re.compile(r">(\\+[^<]*|&amp;)<")
DISPLAY = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def mathml(found: re.Match, display: str) -> str:
    """The formula that was found, as an element `math`; a wide one scrolls by itself.

    Raises:
        ValueError: a command that is not known, which would stand on the page as it is.
    """
    formula = html.unescape(found[1]).strip()
    element = convert(formula, display=display)
    if unknown := UNKNOWN.findall(element):
        raise ValueError(f"Formulas must be drawn whole. Received: {unknown[0]!r} in {formula!r}")
    return f'<div class="formula">{element}</div>' if display == "block" else element


def on_page_content(content, **_):
    """Called by MkDocs with the HTML of each page."""
    content = INLINE.sub(lambda found: mathml(found, "inline"), content)
    return DISPLAY.sub(lambda found: mathml(found, "block"), content)
