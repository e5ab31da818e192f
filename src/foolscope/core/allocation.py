"""How the memory allocator of this process treats memory that is freed."""

import ctypes
import sys

__all__ = ["reuse_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h
_NEVER = 2**31 - 1


def reuse_freed_memory() -> bool:
    """Keep freed memory for the next request, not giving it back to the system; return whether it works.

    A training step allocates and frees the same large tensors again and again. By default the C library asks
    the system for each of them, and the system clears every page, which was measured to take half of the
    time of a step of convolutions. This is a setting of the whole process, so only programs of our own make
    it, the command line and worker processes, never the library.

    References:
        The GNU C library manual, *Malloc Tunable Parameters*.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _NEVER))
