"""Tells systemd what state we are in, by the datagrams of sd_notify(3).

    READY=1                                   hublet serves
    STATUS=...                                one line for `systemctl --user status`
    RELOADING=1, MONOTONIC_USEC=...           the config is being read again; READY=1 ends that
    STOPPING=1                                hublet drains
    WATCHDOG=1                                hublet is alive: due every WATCHDOG_USEC

Without a manager nothing is sent. No error here ends the daemon: when a message does not reach the manager, its own
time limits apply, as they should.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import MutableMapping

log = logging.getLogger("hublet.host")

_PATIENCE = 0.5
_LONGEST_STATUS = 512


class Notifier:
    """Sends to the manager at `address`: a path, or `@` and the name of an abstract socket; empty for no manager.

    `interval` is how often the manager wants a sign of life, in seconds; None when it wants none.
    """

    def __init__(self, address: str = "", *, interval: float | None = None) -> None:
        self._address = b"\0" + os.fsencode(address[1:]) if address.startswith("@") else os.fsencode(address)
        self._complained = False
        self._status = ""
        self.interval = interval

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], pid: int | None = None) -> Notifier:
        """A notifier for the manager that started us. Its variables are removed from `environment`, so that no child
        can send in our name."""
        address = environment.pop("NOTIFY_SOCKET", "")
        given, meant = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        if not address.startswith(("/", "@")) or len(address) < 2:
            return cls()
        ours = not meant or meant == str(os.getpid() if pid is None else pid)
        watched = ours and given.isascii() and given.isdigit() and int(given) > 0
        return cls(address, interval=int(given) / 1e6 if watched else None)

    @property
    def listening(self) -> bool:
        """Whether there is a manager to send to."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """hublet serves: to be called after the start, and at the end of a reload."""
        self._status = _line(status)
        self._say("READY=1", f"STATUS={self._status}")

    def status(self, text: str) -> None:
        """Send a new status line; the same one is not sent again."""
        if _line(text) != self._status:
            self._status = _line(text)
            self._say(f"STATUS={self._status}")

    def reloading(self) -> None:
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._status = "stopping"
        self._say("STOPPING=1", "STATUS=stopping")

    def alive(self) -> None:
        if self.interval is not None:
            self._say("WATCHDOG=1")

    def _say(self, *assignments: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(_PATIENCE)  # a manager that hangs does not hold us up
                sock.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            if not self._complained:
                log.warning("the service manager can't be told how we are: %s", error.strerror or error)
            self._complained = True


def _line(text: str) -> str:
    """The text in one line, because a line end would begin another assignment."""
    return " ".join(text.split())[:_LONGEST_STATUS]
