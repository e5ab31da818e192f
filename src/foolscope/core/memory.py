"""How much memory this process may use: what the machine has, or the limit of its container."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["available_memory", "memory_limit"]

_ROOT = Path("/")
# control groups, version 2 and 1: controller, folder, limit, use, and what of the use is cache to give back
_GROUPS = (
    ("", "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    (
        "memory",
        "sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)


def memory_limit(root: Path = _ROOT) -> int | None:
    """Return the bytes of the machine or, where there is less, of its container; ``None`` if neither is told.

    Args:
        root: the folder with ``proc`` and ``sys``.
    """
    machine = _meminfo(root, "MemTotal")
    limits = [limit for limit, _ in _control_groups(root)]
    return min([*limits, *([] if machine is None else [machine])], default=None)


def available_memory(root: Path = _ROOT) -> int | None:
    """Return the bytes that are free, of the machine and of its container; ``None`` if neither is told.

    What the system would give back, such as its cache of files, counts as free. The argument is that of
    :func:`memory_limit`.
    """
    machine = _meminfo(root, "MemAvailable")
    left = [max(0, limit - used) for limit, used in _control_groups(root)]
    return min([*left, *([] if machine is None else [machine])], default=None)


def _meminfo(root: Path, name: str) -> int | None:
    """Return an entry of /proc/meminfo in bytes; elsewhere than on Linux, the machine's memory."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if root == _ROOT else None
        except (AttributeError, ValueError, OSError):
            return None
    entries = dict(line.split(":", 1) for line in lines if ":" in line)
    return 1024 * int(entries[name].split()[0]) if name in entries else None


def _control_groups(root: Path) -> Iterator[tuple[int, int]]:
    """Yield limit and use of every control group with a limit, from this process's own to the outermost."""
    for controller, folder, limit, use, cache in _GROUPS:
        for path in _own_groups(root, controller):
            group = root / folder / path
            allowed, used = _number(group / limit), _number(group / use)
            if allowed is not None and used is not None:
                yield allowed, used - _cached(group / "memory.stat", cache)


def _own_groups(root: Path, controller: str) -> Iterator[str]:
    """Yield the group of this process and those around it, relative to the folder of all groups."""
    own = PurePosixPath("/")
    try:
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                own = PurePosixPath(path)
    except (OSError, ValueError):
        pass
    for group in (own, *own.parents):
        yield str(group).lstrip("/")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such group, or no limit: "max"
        return None


def _cached(path: Path, name: str) -> int:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), 0)
