"""Who listens on a port of this machine, as the kernel's tables tell; nobody is connected to.

Connecting would start a service whose socket the service manager holds. /proc/net/tcp has the owner and the inode of
each listening socket, and the process that has it open is found where its /proc/PID/fd may be read: ours, and all for
root. A process that keeps its neighbours out (PR_SET_DUMPABLE), as hublet does, is known by its owner alone.
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
class Listener:
    """`address` is where it listens: a loopback address, or one that includes them (`0.0.0.0`, `::`). `pid` and
    `program` where they can be told."""

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


def listeners(port: int, address: str, *, proc: Path = Path("/proc")) -> list[Listener] | None:
    """Whoever takes connections to a loopback address; None where the kernel's tables can't be read."""
    found = []
    try:
        for where, uid, inode in _listening(proc / "net", port):
            if _reached_by(where, address):
                found.append(Listener(str(where), uid, inode, *_holder(proc, inode)))
    except OSError:
        return None
    return found


def _listening(net: Path, port: int) -> Iterator[tuple[str, int, int]]:
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
    """The kernel writes addresses as words of its own byte order."""
    words = [int(raw[at : at + 8], 16) for at in range(0, len(raw), 8)]
    return socket.inet_ntop(
        socket.AF_INET if len(words) == 1 else socket.AF_INET6, struct.pack(f"={len(words)}I", *words)
    )


def _reached_by(where: str, address: str) -> bool:
    listening, wanted = ip_address(where), ip_address(address)
    listening = getattr(listening, "ipv4_mapped", None) or listening
    if listening.version == wanted.version:
        return listening == wanted or listening.is_unspecified
    return listening.version == 6 and listening.is_unspecified  # `::` takes IPv4 too, unless it was told not to


def _holder(proc: Path, inode: int) -> tuple[int | None, str]:
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
