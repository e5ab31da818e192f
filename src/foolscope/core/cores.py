"""How many cores this process may use."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["available_cores"]

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def available_cores(groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> int:
    """Return how many cores this process may use, by its affinity and the limits of its control groups.

    A container, a batch system or systemd limits a group of processes to so much processor time in each
    period; the limit of every enclosing group holds, too. Part of a core counts as none, but one core there
    always is. Where there are no control groups, as on macOS, the affinity or the machine decides.

    Args:
        groups: where control groups are mounted, of version 1 or 2.
        membership: the file that lists the groups of this process.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = (limit for folder in _own_groups(groups, membership) for limit in _limits(folder))
    return max(1, int(min([cores, *limits])))


def _own_groups(groups: Path, membership: Path) -> Iterator[Path]:
    """Yield the folders of the process's groups that may limit it, with the enclosing ones."""
    yield groups  # inside a container its own group is the root
    yield groups / "cpu"
    try:
        lines = membership.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)  # as in "0::/user.slice", "4:cpu,cpuacct:/job"
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = [groups / "unified", groups] if not controllers else [groups / controllers, groups / "cpu"]
        inside = PurePosixPath(name.lstrip("/"))
        for mount in mounts:
            yield from (mount / group for group in (inside, *inside.parents))


def _limits(folder: Path) -> Iterator[float]:
    """Yield the cores that a group may use, if it is limited: processor time allowed in each period."""
    for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            text = " ".join((folder / file).read_text(encoding="ascii") for file in files)
            allowed, period = map(int, text.split())  # no limit is "max 100000", or -1
        except (OSError, ValueError):
            continue
        if allowed > 0 and period > 0:
            yield allowed / period
