"""Sockets that the service manager holds and hands over to us, so that no request is refused while we are not running.

systemd tells of them in LISTEN_FDS (how many descriptors, from 3 on) and LISTEN_PID (sd_listen_fds(3)). launchd is
asked for them by their name in the property list. `door.binding.adopt_loopback` checks them.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import MutableMapping

log = logging.getLogger("hublet.host")

LAUNCHD_NAME = "Listeners"
"""The name of the sockets in launchd's property list."""

_FIRST = 3
_MOST = 16


def handed_over(environment: MutableMapping[str, str], pid: int | None = None) -> list[int]:
    """The descriptors that were handed over to us. The variables are removed from `environment`.

    When LISTEN_PID is another process, the descriptors are not ours: the manager started a program that started us and
    did not pass them on.
    """
    count, meant = environment.pop("LISTEN_FDS", ""), environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    environment.pop("LISTEN_PIDFDID", None)
    if meant == str(os.getpid() if pid is None else pid) and count.isascii() and count.isdigit():
        return list(range(_FIRST, _FIRST + min(int(count), _MOST)))
    return _from_launchd(LAUNCHD_NAME) if sys.platform == "darwin" else []


def _from_launchd(name: str, library: ctypes.CDLL | None = None) -> list[int]:
    """The descriptors that launchd has under a name (launch_activate_socket(3)); none when launchd did not start us."""
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
