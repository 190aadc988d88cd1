"""`kib compare`: two reports from files, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from keras_infobottleneck.arguments import check_file
from keras_infobottleneck.auditing import InformationReport
from keras_infobottleneck.command_line.command import Command, value_of

__all__ = ["COMPARE"]


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "html", None, "Write the comparison to this file, as one page.", flag_values=values
    )


def _run(arguments: Sequence[str], values: flags.FlagValues) -> None:
    path = value_of(values, "html")
    check_file("--html", path, optional=True)
    before, after = (_read_report(each) for each in arguments)
    print(after.table(baseline=before))
    if path is not None:
        after.to_html(path, baseline=before)
        print(f"wrote {path}")


def _read_report(path: str) -> InformationReport:
    """A report from a file; the error for other files says how to make one."""
    try:
        return InformationReport.from_json(path)
    except ValueError as error:
        raise ValueError(
            "`kib compare` takes two reports, which `kib audit MODEL --data=... --json=FILE` "
            "writes; `kib audit NEW --data=... --baseline=OLD.keras` compares models. "
            f"Received: {path} ({error})"
        ) from None


COMPARE = Command(
    name="compare",
    arguments=("BEFORE.json", "AFTER.json"),
    summary="Shows two reports that `audit --json` wrote side by side.",
    description="""
        The numbers are those of AFTER, with those of BEFORE in the column `baseline`. It says
        where the two were measured differently.

        Example: kib compare before.json after.json --html=comparison.html
    """,
    define_flags=_define_flags,
    run=_run,
)
