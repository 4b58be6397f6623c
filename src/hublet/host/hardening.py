"""Protects a process that holds secrets: no core dump, and no access to its memory by other processes of the user.

On Linux the process is made not dumpable (prctl PR_SET_DUMPABLE). Then it leaves no core, even where the kernel pipes
cores to a program, and its environment, memory, open files and maps in /proc belong to root: another process of the
same user can't read them or attach a debugger (root, and a process with CAP_SYS_PTRACE, can). An exec makes a process
dumpable again, so each of our programs calls `harden` itself. On other systems only the size of a core is limited to 0.
"""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4


def harden() -> bool:
    """Ask the kernel for this protection. Returns whether it was given. Never raises: unprotected is better than not
    serving."""
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
    """Limit the data of this process (RLIMIT_DATA: heap and private mappings) to `most` bytes. Beyond that, Python
    raises MemoryError. Returns whether the limit holds. Only on Linux: on other systems it limits little, or something
    else.
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
