"""Memory of this process."""

import gc
import os


def resident_mebibytes() -> float:
    """Of this process, after everything that nothing refers to is freed."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
