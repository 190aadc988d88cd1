"""What every verdict of a report has: a number, and how sure it is or why that is not known."""

import re


def check_verdicts(report):
    """Each part that measured something has a verdict; where its first number has an error, so."""
    first = {}
    for reading in report.readings:
        first.setdefault(reading.part, reading)
    verdicts = report.verdicts()
    assert verdicts.keys() == first.keys()
    table = " ".join(report.table().split())
    for part, verdict in verdicts.items():
        assert verdict.statement.endswith(".")
        assert " ".join(verdict.statement.split()) in table
        assert re.search(r"\d", verdict.statement + verdict.evidence), part
        assert verdict.uncertainty
        if first[part].standard_error:
            assert "±" in f"{verdict.statement} {verdict.evidence} {verdict.uncertainty}", part
