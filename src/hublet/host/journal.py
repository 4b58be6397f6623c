"""Logging to systemd's journal by its native protocol, where standard error is connected to the journal.

A library for it would be another dependency for a few lines. One datagram to /run/systemd/journal/socket is one entry
(systemd's "Native Journal Protocol"):

    NAME=value \\n                                 for a value without a line end
    NAME \\n length, 8 bytes little-endian, value \\n    for any value

An entry that is too large for a datagram is written into a sealed memfd, whose descriptor is sent with an empty
datagram. When the socket can't be reached, lines go to standard error, each with its level as `<N>` before it
(sd-daemon(3)).
"""

from __future__ import annotations

import array
import errno
import logging
import os
import socket
import sys
from collections.abc import Mapping
from typing import TextIO

SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "hublet"
_PATIENCE = 0.25
"""For how many seconds at most a full journal may hold us up with one line."""
_LEVELS = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_TOO_LARGE = frozenset({errno.EMSGSIZE, errno.ENOBUFS})
_EXTRAS = ("event", "event_id")


def is_journal(environment: Mapping[str, str], descriptor: int = 2) -> bool:
    """Whether a descriptor is the stream to the journal, which JOURNAL_STREAM names by device and inode
    (systemd.exec(5)). The variable alone is not enough: it may have been inherited while standard error was sent
    elsewhere."""
    device, separator, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    if not (separator and device.isdigit() and inode.isdigit()):
        return False
    try:
        info = os.fstat(descriptor)
    except OSError:
        return False
    return (info.st_dev, info.st_ino) == (int(device), int(inode))


def encode(fields: Mapping[str, str]) -> bytes:
    """The bytes of one entry. Raises ValueError for a name that the journal would ignore: it takes up to 64 upper-case
    letters, digits and underscores, beginning with a letter."""
    parts: list[bytes] = []
    for name, text in fields.items():
        if not _is_name(name):
            raise ValueError(f"{name!r} can't be a field of the journal")
        value = text.encode("utf-8", "backslashreplace")
        if b"\n" in value:
            parts.append(b"%b\n%b%b\n" % (name.encode(), len(value).to_bytes(8, "little"), value))
        else:
            parts.append(b"%b=%b\n" % (name.encode(), value))
    return b"".join(parts)


def _is_name(name: str) -> bool:
    plain = name.isascii() and name.replace("_", "A").isalnum() and name == name.upper()
    return plain and 0 < len(name) <= 64 and not name.startswith(("_", *"0123456789"))


def priority(level: int) -> int:
    """The priority that syslog(3) has for a level of `logging`."""
    return next((number for least, number in _LEVELS if level >= least), 7)


def fields_of(record: logging.LogRecord, message: str) -> dict[str, str]:
    """The fields of an entry: the message, its level, the logger, the place in the code, and the event it is about."""
    fields = {
        "MESSAGE": message,
        "PRIORITY": str(priority(record.levelno)),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "LOGGER": record.name,
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
    }
    given = {f"HUBLET_{name.upper()}": str(record.__dict__[name]) for name in _EXTRAS if name in record.__dict__}
    return fields | given


class JournalHandler(logging.Handler):
    """Sends log records to the journal. Filters that redact secrets run before `emit`, as with any handler.

    `lost` counts the lines that a full journal did not take in time. The next line that it takes tells their number.
    """

    def __init__(self, path: str = SOCKET, *, fallback: TextIO | None = None, patience: float = _PATIENCE) -> None:
        super().__init__()
        self._path, self._fallback = path, fallback
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(patience)
        self.lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = self.format(record)
            if self.lost:
                message += f"\n({self.lost} lines before this one were lost: the journal was full)"
            self._send(encode(fields_of(record, message)))
            self.lost = 0
        except (TimeoutError, BlockingIOError):
            self.lost += 1
        except OSError:
            self._to_stderr(record)
        except Exception:  # noqa: BLE001  as in logging's own handlers: a line that can't be written raises nothing
            self.handleError(record)

    def close(self) -> None:
        self._socket.close()
        super().close()

    def _send(self, entry: bytes) -> None:
        try:
            # Sent to the path each time, instead of connecting once: a journal that restarts has another socket.
            self._socket.sendto(entry, self._path)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            self._send_as_memory(entry)

    def _send_as_memory(self, entry: bytes) -> None:
        import fcntl

        descriptor = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            rest = memoryview(entry)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
            self._socket.sendmsg([b""], [rights], 0, self._path)
        finally:
            os.close(descriptor)

    def _to_stderr(self, record: logging.LogRecord) -> None:
        level = priority(record.levelno)
        said = "".join(f"<{level}>{line}\n" for line in f"{record.name}: {self.format(record)}".splitlines())
        try:
            (self._fallback or sys.stderr).write(said)
        except (OSError, ValueError):
            self.lost += 1
