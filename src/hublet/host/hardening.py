"""What a process that holds secrets asks the kernel for: no core dump, and no look into its memory by its neighbours.

On Linux a process that is not dumpable leaves no core, also where the kernel hands cores to a program, and its
environment, memory, open files and maps under /proc are root's: another process of the same user can't read them or
attach a debugger (root, and whoever has CAP_SYS_PTRACE, can). Another program that is started is dumpable again, so
each of ours asks for itself. Elsewhere only the size of a core is set to nothing.
"""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4


def harden() -> bool:
    """Ask for all of it, and say whether it was given. Nothing is raised: serving without it is better than not."""
    given = True
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        given = False
    return _undumpable() and given if sys.platform == "linux" else given


def _undumpable() -> bool:
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        zero = ctypes.c_ulong(0)
        return bool(prctl(_PR_SET_DUMPABLE, zero, zero, zero, zero) == 0 and prctl(_PR_GET_DUMPABLE, *[zero] * 4) == 0)
    except (OSError, AttributeError):
        return False


def limit_memory(most: int) -> bool:
    """Let this process have no more than `most` bytes of data (RLIMIT_DATA: heap and private mappings), and say whether
    that holds. What asks for more raises MemoryError. Only on Linux: elsewhere the limit means little, or other things.
    """
    if sys.platform != "linux":
        return False
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    except (OSError, ValueError, OverflowError):
        return False
    return True


def is_dumpable() -> bool | None:
    """Whether this process could leave a core dump; None where that can't be asked."""
    if sys.platform != "linux":
        return None
    try:
        return bool(ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, *[ctypes.c_ulong(0)] * 4))
    except (OSError, AttributeError):
        return None
