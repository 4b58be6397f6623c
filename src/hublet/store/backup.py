"""Backups: a whole copy of the store, made while it is in use; and the store restored from such a copy.

A copy is sealed like the store. Making one needs no key; using one needs the key that the store had at that time.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from hublet.core.errors import StoreCorrupt
from hublet.store import schema
from hublet.store.check import check
from hublet.store.failures import reporting, sync_directory
from hublet.store.lock import Lock, make_private
from hublet.store.replacing import copied, new_path, replace
from hublet.store.unlocking import KeySource, unlocked

_backing_up = "the cache can't be copied"
_restoring = "the cache can't be restored"


def back_up(store: Path, copy: Path) -> None:
    """Copy `store` to `copy` with SQLite's online backup. The copy is private, and on the disk when this returns; a
    file that is there already is replaced. Raises StoreError."""
    with reporting(_backing_up):
        remove(copy)
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        with (
            closing(schema.connect(store, writable=False)) as source,
            closing(sqlite3.connect(copy, isolation_level=None)) as target,
        ):
            schema.read_header(source)  # raises when the file is not a store
            source.backup(target)
        _settle(copy)
        with copy.open("rb") as file:
            os.fsync(file.fileno())


def keep(copy: Path, file: Path) -> None:
    """Copy `copy` to the user's `file`, which must not exist; it is on the disk when this returns. Raises
    StoreError."""
    with reporting(f"{file} can't be written"):
        try:
            copied(copy, file)
        except FileExistsError:
            raise
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        sync_directory(file.absolute().parent)


def fetch(file: Path, copy: Path) -> None:
    """Copy the user's `file` to `copy`, with its WAL if there is one, as when the user has copied the files of a store.
    Raises StoreError."""
    with reporting(f"{file} can't be read"):
        remove(copy)
        copied(file, copy)
        wal = schema.beside(file)[0]
        if wal.exists():
            copied(wal, schema.beside(copy)[0])


def prove(copy: Path, source: KeySource) -> int:
    """Check that the configured key opens a copy and every record in it. Returns the number of records. Raises
    StoreError or one of its subclasses, KeySourceError."""
    with reporting(_restoring):
        _settle(copy)
        with closing(schema.connect(copy, writable=False)) as connection:
            header = schema.read_header(connection)
    found = check(copy, unlocked(header, source), header)
    if not found.fine:
        why = found.unproved or (found.problems[0] if found.problems else f"{found.unreadable} records don't open")
        raise StoreCorrupt(f"the backup is damaged: {why}", hint="take another one")
    return len(found.rows)


def restore(directory: Path, copy: Path) -> Path | None:
    """Put a copy that `prove` accepted in the place of a data directory's store, in one step. Returns the folder of the
    store before, None when there was none. Raises StoreLocked, StoreError; then nothing has changed."""
    directory = directory.absolute()
    make_private(directory)
    lock = Lock.take(directory)
    try:
        path = directory / schema.database_name
        with reporting(_restoring):
            remove(new_path(path))
            copied(copy, new_path(path))
            return replace(path, new_path(path))
    finally:
        lock.release()


def remove(copy: Path) -> None:
    """Delete a copy and the files beside it. Raises OSError."""
    for file in (*schema.beside(copy), copy):
        file.unlink(missing_ok=True)


def _settle(copy: Path) -> None:
    """Move what is in the WAL beside a copy into the copy. Closing the connection removes the WAL."""
    with closing(schema.connect(copy, writable=True)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
