"""The memory that is available, and bytes as text."""

from __future__ import annotations

import os

__all__ = ["available_bytes", "mebibytes"]


def available_bytes() -> int | None:
    """Physical memory that is free now, in bytes; None where the system does not report it."""
    try:
        with open("/proc/meminfo") as lines:
            fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def mebibytes(count: int) -> str:
    """A number of bytes as text, in MiB."""
    return f"{count / 2**20:,.1f} MiB"
