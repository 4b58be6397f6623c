"""Sockets that the service manager holds and hands over: no request is refused while we are away.

systemd says so in LISTEN_FDS (descriptors from 3 on) and LISTEN_PID; launchd is asked by the name that the property
list gives them. What is handed over is judged by `door.binding.adopt_loopback`, not here.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import MutableMapping

log = logging.getLogger("hublet.host")

LAUNCHD_NAME = "Listeners"
"""What the property list calls its sockets."""

_FIRST = 3
_MOST = 16


def handed_over(environment: MutableMapping[str, str], pid: int | None = None) -> list[int]:
    """The descriptors that are for us; none when nothing was handed over. The variables are taken out.

    Those of another process (LISTEN_PID) are not ours: a program between the manager and us did not pass them on.
    """
    count, meant = environment.pop("LISTEN_FDS", ""), environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    environment.pop("LISTEN_PIDFDID", None)
    if meant == str(os.getpid() if pid is None else pid) and count.isascii() and count.isdigit():
        return list(range(_FIRST, _FIRST + min(int(count), _MOST)))
    return _from_launchd(LAUNCHD_NAME) if sys.platform == "darwin" else []


def _from_launchd(name: str, library: ctypes.CDLL | None = None) -> list[int]:
    """What launchd holds under a name: launch_activate_socket(3). Nothing when launchd did not start us."""
    try:
        system = library or ctypes.CDLL(None)
        activate = system.launch_activate_socket
    except (OSError, AttributeError):
        return []
    descriptors, count = ctypes.POINTER(ctypes.c_int)(), ctypes.c_size_t()
    activate.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.POINTER(ctypes.c_int)), ctypes.POINTER(ctypes.c_size_t)]
    activate.restype = ctypes.c_int
    # ESRCH: not started by launchd. ENOENT: the property list has no sockets of this name.
    if (failure := activate(name.encode(), ctypes.byref(descriptors), ctypes.byref(count))) != 0:
        log.debug("launchd hands no sockets over: %s", os.strerror(failure))
        return []
    try:
        return [descriptors[index] for index in range(count.value)]
    finally:
        system.free.argtypes = [ctypes.c_void_p]
        system.free(descriptors)
