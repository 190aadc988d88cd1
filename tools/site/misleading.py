"""How each number misleads: the texts that stand beside the numbers in an audit."""

from keras_infobottleneck.auditing.registration import PARTS

HEAD = """# How each number misleads

Every number of a report by [`kib.audit`][keras_infobottleneck.audit] comes with a sentence on how
to read it, and says whether it is exact, unbiased, a bound or an approximation. This page lists all
of them; it is generated from the code when the site is built.
"""


def page() -> str:
    """All measures of the audit as text in Markdown, a section for each part."""
    parts = [HEAD]
    for part in PARTS:
        parts.append(f"## {part.title}\n")
        for measure in part.measures:
            label = measure.label[:1].upper() + measure.label[1:]
            parts.append(f"**{label}** ({measure.unit}): {measure.truth}.\n\n: {measure.reading}\n")
    return "\n".join(parts)
