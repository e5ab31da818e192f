"""How many cores this process may use."""

import os
from pathlib import Path

__all__ = ["available_cores"]

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # what a container may use, as "quota period" in microseconds


def available_cores(quota: Path = _QUOTA) -> int:
    """Return how many cores this process may use, by its affinity and the limit of its container.

    Args:
        quota: the file with the limit of the control group.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text(encoding="ascii").split()
        return max(1, min(cores, int(allowed) // int(period)))
    except (OSError, ValueError):  # no limit: "max 100000", or no such file
        return cores
