"""Whether there is a route out of this machine, told by the kernel, for machines where no service tells it.

A netlink socket wakes us when links or routes change, and only then (rtnetlink(7)). Its messages are not parsed; the
routing tables in /proc are read again instead, which is simpler.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("hublet.host")

_LINK, _IPV4_ROUTE, _IPV6_ROUTE = 0x1, 0x40, 0x400
_UP, _REJECT = 0x1, 0x200
_NOWHERE = "00000000000000000000000000000000"


def leads_out(net: Path = Path("/proc/self/net")) -> bool:
    """Whether there is a default route for IPv4 or IPv6, by the tables in /proc (proc(5))."""
    try:
        four = [line.split() for line in (net / "route").read_text().splitlines()[1:]]
        six = [line.split() for line in (net / "ipv6_route").read_text().splitlines()]
    except OSError:
        return False
    if any(row[1] == row[7] == "00000000" and int(row[3], 16) & _UP for row in four if len(row) > 7):
        return True
    return any(
        row[0] == _NOWHERE and row[1] == "00" and row[9] != "lo" and int(row[8], 16) & (_UP | _REJECT) == _UP
        for row in six
        if len(row) > 9
    )


class Routes:
    """Transitions: (made) → start → close. `changed` is called at the start and after each change, with whether there
    is a route out now."""

    def __init__(self, changed: Callable[[bool], None]) -> None:
        self._changed = changed
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Begin to listen. Where the kernel has no such socket for us, `changed` is never called."""
        try:
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        except (OSError, AttributeError):
            return
        try:
            sock.bind((0, _LINK | _IPV4_ROUTE | _IPV6_ROUTE))
        except OSError as error:
            log.info("changes of the network can't be heard of: %s", error.strerror)
            sock.close()
            return
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock, self._readable)
        self._changed(leads_out())

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            while self._socket.recv(65536):
                pass
        except OSError:  # no more messages, or some were lost; the tables are read in any case
            pass
        self._changed(leads_out())
