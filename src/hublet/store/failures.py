"""Errors of SQLite and of the system, turned into StoreErrors with a sentence for a person."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from hublet.core.errors import StoreCorrupt, StoreError, StoreFormat

reset_hint = "`hublet store reset` moves the cache aside and starts a new one"
in_use_hint = "close what has hublet's database open; on a file system without locks it can't be kept"


@contextmanager
def reporting(doing: str) -> Iterator[None]:
    """Raises StoreError, StoreCorrupt or StoreFormat for an sqlite3.Error or OSError; `doing` begins the sentence."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, doing) from error
    except (MemoryError, UnicodeError):
        # A damaged length can ask for more memory than there is, and SQLite may quote a damaged name in its message.
        raise StoreCorrupt(f"{doing}: the file is damaged", hint=reset_hint) from None
    except OSError as error:
        raise StoreError(
            f"{doing}: {error.strerror or error}", hint="check the disk and the folder's rights"
        ) from error


def _translated(error: sqlite3.Error, doing: str) -> StoreError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the primary code of an extended one
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_TOOBIG):
        return StoreCorrupt(f"{doing}: the file is damaged ({error})", hint=reset_hint)
    if code == sqlite3.SQLITE_NOTADB:
        return StoreFormat(f"{doing}: the file is not a database", hint=reset_hint)
    if code == sqlite3.SQLITE_FULL:
        return StoreError(f"{doing}: the disk is full", hint="make room; hublet goes on by itself")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"{doing}: another program is using the file", hint=in_use_hint)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreError(f"{doing}: {error}", hint="check the folder's rights and that its disk is writable")
    return StoreError(f"{doing}: {error}")


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Flush a directory, so that files created, moved or removed in it stay so after a power loss. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
