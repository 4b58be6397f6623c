"""Puts another database in the store's place, in one step, and keeps a copy of the one before.

    keep aside    the store's files are copied into a folder `aside-N` of the data directory, and flushed
    settle        the WAL is moved into the database and removed: a WAL must never lie beside another database
    rename        the new database takes the store's name

A crash before the rename leaves the store as it was, a crash after it the new store. The caller holds the store's lock.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from hublet.store import schema
from hublet.store.failures import sync_directory
from hublet.store.reset import new_folder


def new_path(path: Path) -> Path:
    """Where a database is made before it takes the store's place. What a crash leaves there is overwritten the next
    time."""
    return path.with_name(f"{path.name}.new")


def keep_aside(path: Path) -> Path | None:
    """Copy a store's files into a new folder `aside-N`. Returns the folder, None when there are no files. Raises
    OSError."""
    files = [file for file in (path, *schema.beside(path)) if os.path.lexists(file)]
    if not files:
        return None
    aside = new_folder(path.parent)
    with _undone(aside):
        for file in files:
            if file.is_symlink():
                (aside / file.name).symlink_to(file.readlink())
                continue
            copied(file, aside / file.name)
        sync_directory(aside)
        sync_directory(path.parent)
    return aside


def copied(source: Path, target: Path) -> None:
    """Copy a file; the copy is private (0600), and on the disk when this returns. Raises OSError, also when `target`
    exists."""
    from shutil import copyfileobj

    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o600), "wb") as out, source.open("rb") as given:
        os.fchmod(out.fileno(), 0o600)
        copyfileobj(given, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())


def replace(path: Path, new: Path) -> Path | None:
    """Put the database `new`, which is whole, flushed and without a WAL, in the store's place. Returns the folder with
    the copy of the store before, None when there was none. Raises OSError; then the store is as it was."""
    aside = keep_aside(path)
    with _undone(aside):
        _settle(path)
        sync_directory(path.parent)
        new.rename(path)
    sync_directory(path.parent)
    return aside


@contextmanager
def _undone(aside: Path | None) -> Iterator[None]:
    """Remove the copy when the rest fails: hublet tries again and again, and each try would leave one."""
    try:
        yield
    except BaseException:
        if aside is not None:
            from shutil import rmtree

            rmtree(aside, ignore_errors=True)
        raise


def _settle(path: Path) -> None:
    """Move what is in the WAL into the database, if it can be opened, and remove the files beside it."""
    if os.path.lexists(path):
        with suppress(sqlite3.Error, OSError, MemoryError), closing(schema.connect(path, writable=True)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    for file in schema.beside(path):
        file.unlink(missing_ok=True)  # the copy aside still has them
