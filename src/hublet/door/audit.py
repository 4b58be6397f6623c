"""The audit log: who asked for what, and whether it was answered. One JSON object a line; never a value.

    audit.log                     appended to, 0600, in the data directory
    audit.log.1 … audit.log.3     older ones; when audit.log reaches `size_limit`, each is renamed to the next number
                                  and the last is deleted

Lines lie on the disk in clear. A line tells what kind of thing was asked for, and in what kind of scope. The thing's
name came from the Hub and is therefore sealed; in its place a line has an id, an HMAC of it under a key of the store.

hublet only appends, but the file system does not enforce that: another program of the same user can change the file.
It can't change the copy in the system's log (`audit.syslog`).
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from hublet.core.values import dataclass

file_name = "audit.log"
most_ids = 32
"""How many things of one request a line names; the others are only counted."""
_authpriv_info = 10 * 8 + 6
_patience = 0.5


@dataclass(frozen=True, slots=True)
class Who:
    """Who asked, and at which door. `how` is same-user, account, token:NAME or nobody. `uid` is None where the kernel
    was not asked or can't tell. `pid` and `program` are known on Unix sockets only, as they were when the connection
    was opened."""

    door: str
    how: str = "nobody"
    uid: int | None = None
    pid: int | None = None
    program: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `count` equal requests between `at` and `last`, in seconds of the wall clock."""

    at: float
    last: float
    count: int
    who: Who
    what: str
    outcome: str
    detail: str = ""
    scope: str = ""
    ids: tuple[str, ...] = ()
    about: str = ""

    def to_json(self) -> bytes:
        """The line without its line end; what is not known is left out. Names that others chose can't break a line,
        because JSON escapes line ends."""
        value: dict[str, object] = {"time": timestamp(self.at)}
        if self.count > 1:
            value |= {"last": timestamp(self.last), "count": self.count}
        value |= {"door": self.who.door, "what": self.what}
        optional = {
            "about": self.about,
            "scope": self.scope,
            "ids": list(self.ids[:most_ids]),
            "more_ids": max(0, len(self.ids) - most_ids),
        }
        value |= {name: told for name, told in optional.items() if told}
        value |= {"outcome": self.outcome, **({"detail": self.detail} if self.detail else {})}
        value |= {"who": self.who.how, "uid": self.who.uid}
        if self.who.pid is not None:
            value |= {"pid": self.who.pid, "program": self.who.program}
        return orjson.dumps(value)


def timestamp(at: float) -> str:
    """RFC 3339, in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def program_of(pid: int) -> str:
    """The process's name, which any process can choose for itself; empty when it can't be read."""
    try:
        return Path(f"/proc/{pid}/comm").read_bytes().decode("utf-8", "replace").rstrip("\n")
    except OSError:
        return ""


class AuditFile:
    """Lines on the disk. Calls block, and may come from any thread; one at a time writes."""

    def __init__(self, path: Path, *, size_limit: int = 4 * 1024 * 1024, kept: int = 3) -> None:
        self.path = path
        self._size_limit, self._kept = size_limit, kept
        self._one_at_a_time = threading.Lock()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that there may be, the newest first."""
        return tuple(self._numbered(number) for number in range(self._kept + 1))

    def append(self, lines: Sequence[bytes], *, sync: bool = False) -> None:
        """Write whole lines; with `sync` they are on the disk when this returns. Raises OSError.

        Without a data directory nothing is written: there is no cache that anybody could have asked.
        """
        if not lines or not self.path.parent.is_dir():
            return
        text = b"".join(line + b"\n" for line in lines)
        with self._one_at_a_time:
            descriptor = self._opened(len(text))
            try:
                os.fchmod(descriptor, 0o600)
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    text = b"\n" + text  # the last write was cut short; our lines must not be read as part of it
                while text:
                    text = text[os.write(descriptor, text) :]
                if sync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _opened(self, more: int) -> int:
        """The descriptor of audit.log. The files are renamed first when `more` bytes would make it too large."""
        descriptor = self._open()
        size = os.fstat(descriptor).st_size
        if size == 0 or size + more <= self._size_limit:
            return descriptor
        os.close(descriptor)
        for number in range(self._kept, 0, -1):
            with suppress(FileNotFoundError):
                self._numbered(number - 1).replace(self._numbered(number))
        return self._open()

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid():
            os.close(descriptor)
            raise OSError(errno.EPERM, "is not a regular file of ours", str(self.path))
        return descriptor

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

    def read(self) -> Iterator[dict[str, Any]]:
        """All lines, the oldest first; those that are not whole are left out. Raises OSError.

        The files are opened from the newest to the oldest, so that a renaming meanwhile hides none.
        """
        with ExitStack() as stack:
            files, seen = [], set()
            for number in range(self._kept + 1):
                with suppress(FileNotFoundError):
                    file = stack.enter_context(self._numbered(number).open("rb"))
                    info = os.fstat(file.fileno())
                    if (info.st_dev, info.st_ino) not in seen:
                        seen.add((info.st_dev, info.st_ino))
                        files.append(file)
            for file in reversed(files):
                for text in file:
                    with suppress(orjson.JSONDecodeError):
                        if isinstance(value := orjson.loads(text), dict):
                            yield value


class Syslog:
    """The system's log, by datagrams to the socket that syslog(3) uses, with the facility authpriv."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path or ("/var/run/syslog" if sys.platform == "darwin" else "/dev/log")

    def send(self, lines: Sequence[bytes]) -> None:
        """Raises OSError when nobody listens, or a line is not taken within half a second."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_patience)
            sock.connect(self._path)
            for line in lines:
                sock.send(b"<%d>hublet-audit[%d]: %b" % (_authpriv_info, os.getpid(), line))
