"""Who listens on a TCP port of this machine, read from the kernel's tables without connecting to the port.

Connecting would start a service whose socket the service manager holds. /proc/net/tcp and /proc/net/tcp6 name the owner
and the inode of each listening socket. The process that has the socket open is found by looking for the inode in
/proc/PID/fd, which we may read for our own processes only, and root for all. A process that is not dumpable (prctl
PR_SET_DUMPABLE), as hublet is, hides its descriptors: of such a process only the owner is known.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from hublet.core.values import dataclass

_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Holder:
    """One listening socket. `address` is a loopback address, or one that includes them (`0.0.0.0`, `::`). `pid` is None
    and `program` empty where the process can't be found."""

    address: str
    uid: int
    inode: int
    pid: int | None = None
    program: str = ""

    @property
    def user(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"

    def __str__(self) -> str:
        return f"{self.program} (process {self.pid})" if self.pid is not None else f"a program of {self.user}"


def holders_of(port: int, address: str, *, proc: Path = Path("/proc")) -> list[Holder] | None:
    """The sockets that take connections to `port` on the loopback address `address`; None where the kernel's tables
    can't be read (there is no /proc on macOS)."""
    found = []
    try:
        for where, uid, inode in _listening(proc / "net", port):
            if _reached_by(where, address):
                found.append(Holder(str(where), uid, inode, *_process(proc, inode)))
    except OSError:
        return None
    return found


def _listening(net: Path, port: int) -> Iterator[tuple[str, int, int]]:
    """The address, the owner's uid and the inode of each socket that listens on `port`. Raises OSError."""
    for name in ("tcp", "tcp6"):
        try:
            lines = (net / name).read_text().splitlines()[1:]
        except FileNotFoundError:
            if name == "tcp":
                raise
            continue  # a system without IPv6
        for line in lines:
            parts = line.split()
            raw, _, number = parts[1].partition(":")
            if parts[3] == _LISTEN and int(number, 16) == port:
                yield _address(raw), int(parts[7]), int(parts[9])


def _address(raw: str) -> str:
    """An address as the kernel's tables write it: 32-bit words in hexadecimal, each in the machine's byte order."""
    words = [int(raw[at : at + 8], 16) for at in range(0, len(raw), 8)]
    return socket.inet_ntop(
        socket.AF_INET if len(words) == 1 else socket.AF_INET6, struct.pack(f"={len(words)}I", *words)
    )


def _reached_by(where: str, address: str) -> bool:
    """Whether a socket that listens at `where` takes connections to `address`."""
    listening, wanted = ip_address(where), ip_address(address)
    listening = getattr(listening, "ipv4_mapped", None) or listening
    if listening.version == wanted.version:
        return listening == wanted or listening.is_unspecified
    return listening.version == 6 and listening.is_unspecified  # `::` takes IPv4 too, unless it was told not to


def _process(proc: Path, inode: int) -> tuple[int | None, str]:
    """The pid and the name of the process that has the socket open; `None, ""` when none can be found."""
    wanted = f"socket:[{inode}]"
    for folder in proc.iterdir():
        if folder.name.isdigit():
            try:
                with os.scandir(folder / "fd") as entries:
                    if any(os.readlink(entry.path) == wanted for entry in entries):  # noqa: PTH115
                        return int(folder.name), (folder / "comm").read_text(errors="replace").strip()
            except OSError:
                continue  # gone meanwhile, or somebody else's
    return None, ""
