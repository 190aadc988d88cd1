"""Progress on standard error, so that standard output holds only results."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from absl import flags

from keras_infobottleneck.command_line.command import value_of

__all__ = ["define_progress_flag", "progress"]


def define_progress_flag(values: flags.FlagValues) -> None:
    """Defines the flag that turns progress off."""
    flags.DEFINE_bool(
        "progress", True, "Whether progress is shown, on standard error.", flag_values=values
    )


@contextlib.contextmanager
def progress(values: flags.FlagValues) -> Iterator[int]:
    """Yields `verbose` for the body; Keras' progress bars go to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        yield int(value_of(values, "progress"))
