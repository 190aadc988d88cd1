"""How much memory there is, and how its bytes are said."""

from __future__ import annotations

import os

__all__ = ["available_bytes", "mebibytes"]


def available_bytes() -> int | None:
    """Physical memory that is free now, None where the system does not say."""
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
    """Bytes for people."""
    return f"{count / 2**20:,.1f} MiB"
