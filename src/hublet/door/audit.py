"""The audit log: who asked for what, and whether it was answered. One JSON object a line; values never.

    audit.log                     appended to, 0600, in the data directory
    audit.log.1 … audit.log.3     older ones; at `size_limit` each moves up by one and the last is gone

A line lies on disk in clear. It tells what kind of thing was asked for and in what kind of scope; what the thing is
called came from the Hub and is sealed, so a line has only its id, an HMAC under a key of the store.

Append-only is what hublet does, not what the file system enforces: another program of the same user can write to the
file too. The copy in the system's log (`audit.syslog`) is out of its reach.
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
"""So many things of one request are named in a line; of the others, their number."""
_authpriv_info = 10 * 8 + 6
_patience = 0.5


@dataclass(frozen=True, slots=True)
class Who:
    """Who asked, at which door: `how` is same-user, account, token:NAME or nobody. `uid` is None where it was not asked
    or can't be told; `pid` and `program` are known on Unix sockets, as they were when the connection was opened."""

    door: str
    how: str = "nobody"
    uid: int | None = None
    pid: int | None = None
    program: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `count` equal askings between `at` and `last`, seconds of the wall clock."""

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
        """Without its line end; what is not known is left out. Names of others' choosing can't break a line: JSON
        escapes what would."""
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
    """What the process calls itself now (any process can choose its name); empty when it can't be told."""
    try:
        return Path(f"/proc/{pid}/comm").read_bytes().decode("utf-8", "replace").rstrip("\n")
    except OSError:
        return ""


class AuditFile:
    """Lines on disk. Calls block; they may come from any thread, one at a time gets through."""

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

        Without a data directory there is no cache that anybody could have asked: then nothing is written.
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
                    text = b"\n" + text  # the last write was cut short: what follows must not be lost with it
                while text:
                    text = text[os.write(descriptor, text) :]
                if sync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _opened(self, more: int) -> int:
        """The file, after its older ones have moved up when it would become too large."""
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
        """All lines, the oldest first; what is no whole line is left out. Raises OSError.

        Opened from the newest to the oldest, so that a rotation meanwhile hides nothing.
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
    """The system's log, where it takes datagrams: syslog(3)'s own socket, facility authpriv."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path or ("/var/run/syslog" if sys.platform == "darwin" else "/dev/log")

    def send(self, lines: Sequence[bytes]) -> None:
        """Raises OSError when nobody listens, or does not take a line in time."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_patience)
            sock.connect(self._path)
            for line in lines:
                sock.send(b"<%d>hublet-audit[%d]: %b" % (_authpriv_info, os.getpid(), line))
