"""Another database in the store's place, in one step, and nothing of the one before is lost.

    keep aside    what lies there is copied into a folder `aside-N` of the data directory, flushed
    settle        its WAL is moved into it, and removed: a WAL of one database must never lie beside another
    rename        the new one takes the name

A crash before the rename leaves the store as it was, one after it the new store. The caller holds the store's lock.
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
    """Where a database is made before it takes the store's place; what a crash left there is removed by the next."""
    return path.with_name(f"{path.name}.new")


def keep_aside(path: Path) -> Path | None:
    """A copy of a store's files in a new folder, which is given; None when there is none. Raises OSError."""
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
    """A private copy of a file, on disk when it returns; the target must be free. Raises OSError."""
    from shutil import copyfileobj

    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o600), "wb") as out, source.open("rb") as given:
        os.fchmod(out.fileno(), 0o600)
        copyfileobj(given, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())


def replace(path: Path, new: Path) -> Path | None:
    """Puts `new` (whole, flushed, nothing beside it) in the store's place; gives where the one before lies, if there
    was one. Raises OSError; then the store is as it was."""
    aside = keep_aside(path)
    with _undone(aside):
        _settle(path)
        sync_directory(path.parent)
        new.rename(path)
    sync_directory(path.parent)
    return aside


@contextmanager
def _undone(aside: Path | None) -> Iterator[None]:
    """What fails is tried again and again: it must not leave a copy each time."""
    try:
        yield
    except BaseException:
        if aside is not None:
            from shutil import rmtree

            rmtree(aside, ignore_errors=True)
        raise


def _settle(path: Path) -> None:
    """What is in the WAL of a database goes into it, if it is one."""
    if os.path.lexists(path):
        with suppress(sqlite3.Error, OSError, MemoryError), closing(schema.connect(path, writable=True)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    for file in schema.beside(path):
        file.unlink(missing_ok=True)  # in the copy it is still there
