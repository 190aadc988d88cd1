"""Formulas as MathML, written when the site is built: browsers draw it without any script."""

import html
import re

from latex2mathml.converter import convert

INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
DISPLAY = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def mathml(found: re.Match, display: str) -> str:
    """The formula that was found, as an element `math`; a wide one scrolls by itself."""
    element = convert(html.unescape(found[1]).strip(), display=display)
    return f'<div class="formula">{element}</div>' if display == "block" else element


def on_page_content(content, **_):
    """Called by MkDocs with the HTML of each page."""
    content = INLINE.sub(lambda found: mathml(found, "inline"), content)
    return DISPLAY.sub(
        lambda found: f'<div class="formula">{mathml(found, "block")}</div>', content
    )
