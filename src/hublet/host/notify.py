"""Telling systemd how we are: the datagrams of sd_notify(3), in our own few lines.

    READY=1                                   it serves
    STATUS=...                                one line for `systemctl --user status`
    RELOADING=1, MONOTONIC_USEC=...           the config is being read anew; READY=1 ends it
    STOPPING=1                                it drains
    WATCHDOG=1                                it lives: due every WATCHDOG_USEC

Where no manager listens nothing is sent. No error here ever ends the daemon: a manager that misses a word has its own
time limits, and what it does then is what should happen.
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
    """Says how we are to the manager at `address`: a path, or `@` and a name for an abstract socket.

    `interval` is how often the manager wants a sign of life, in seconds; None when it does not watch.
    """

    def __init__(self, address: str = "", *, interval: float | None = None) -> None:
        self._address = b"\0" + os.fsencode(address[1:]) if address.startswith("@") else os.fsencode(address)
        self._complained = False
        self._status = ""
        self.interval = interval

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], pid: int | None = None) -> Notifier:
        """The manager that started us. Its variables are taken out: no child is to speak in our name."""
        address = environment.pop("NOTIFY_SOCKET", "")
        given, meant = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        if not address.startswith(("/", "@")) or len(address) < 2:
            return cls()
        ours = not meant or meant == str(os.getpid() if pid is None else pid)
        watched = ours and given.isascii() and given.isdigit() and int(given) > 0
        return cls(address, interval=int(given) / 1e6 if watched else None)

    @property
    def listening(self) -> bool:
        """Whether a manager wants to hear."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """It serves: after the start, and at the end of a reload."""
        self._status = _line(status)
        self._say("READY=1", f"STATUS={self._status}")

    def status(self, text: str) -> None:
        """Only what is new is sent."""
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
                sock.settimeout(_PATIENCE)  # a manager that is stuck doesn't hold us up
                sock.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            if not self._complained:
                log.warning("the service manager can't be told how we are: %s", error.strerror or error)
            self._complained = True


def _line(text: str) -> str:
    """One line: a line end would begin another assignment."""
    return " ".join(text.split())[:_LONGEST_STATUS]
