"""Forgetting a store for good: first its data key is destroyed, so that nothing can be opened, then its files.

    destroy_key    overwrites the wrapped data key, the recovery code's copy of it and what a passphrase source keeps in
                   the header by zeros, in one transaction; then looks for the former bytes in each of the store's files
    remove         removes the files, the database last: until then its header says that the key is destroyed, and which
                   key source kept the key that wrapped it

Each can be done again after a crash. Bytes are overwritten where they lie. A copy-on-write file system or the disk
itself may still keep former versions of them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import field
from pathlib import Path

from hublet.core.errors import StoreError, StoreFormat
from hublet.core.values import dataclass
from hublet.store.failures import reporting, sync_directory
from hublet.store.schema import beside, connect, database_name

# The rows of the header that are left readable: with them a second attempt finds the key source.
_KEPT = ("format", "store", "source", "source.account", "since", "was", "was.account")
_SECRET = ("wrapped_dek", "escrow", "source.key")
_PIECE = 1 << 20
_failed = "the cache's key can't be destroyed"


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What a database's header says of its key: the source that keeps it, which is not authenticated, and the bytes
    that have to be destroyed."""

    source: str | None
    parameters: Mapping[str, str]
    former_account: str | None
    secrets: tuple[bytes, ...] = field(repr=False)


def databases(directory: Path) -> list[Path]:
    """The databases in a data directory: the store, and those in its `aside-N` folders. The store comes first."""
    places = [directory, *sorted(directory.glob("aside-*"))]
    return [path for place in places if os.path.lexists(path := place / database_name)]


def wrapping_of(database: Path) -> Wrapping:
    """Read what `destroy_key` needs to know. Of a file that is no database nothing is known. Raises StoreError when the
    file can't be opened."""
    with reporting("the cache can't be read"), closing(connect(database, writable=False)) as connection:
        rows = _rows(connection)
        # Read without the WAL too: until the WAL is moved into it, the database itself may still hold an earlier key.
        address = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(address, uri=True)) as alone:
            before = _rows(alone)
    parameters = {
        name.removeprefix("source."): value.decode("utf-8", "replace")
        for name, value in rows.items()
        if name.startswith("source.")
    }
    source = rows["source"].decode("utf-8", "replace") if "source" in rows else None
    former = rows.get("was.account", b"").decode("utf-8", "replace") or None
    values = [found[name] for found in (rows, before) for name in _SECRET if name in found]
    secrets = tuple(dict.fromkeys(value for value in values if any(value)))
    return Wrapping(source, parameters, former, secrets)


def _rows(connection: sqlite3.Connection) -> dict[str, bytes]:
    try:
        found = connection.execute("SELECT name, value FROM header").fetchall()
    except sqlite3.Error:
        return {}  # damaged; destroy_key overwrites the whole file then
    return {name: value for name, value in found if isinstance(name, str) and isinstance(value, bytes)}


def destroy_key(database: Path, wrapping: Wrapping) -> None:
    """Overwrite the key in a database and in the files beside it. The caller holds the store's lock. Raises StoreError
    when the key may still be in one of the files."""
    with reporting(_failed):
        try:
            _zero_rows(database)
        except StoreFormat:
            raise  # a symbolic link: the file that it leads to is not ours
        except sqlite3.Error:
            # Damaged, busy or without room to write: the files themselves are overwritten below.
            if wrapping.source is None:
                for file in (database, *beside(database)):
                    _overwrite(file)
        # While another program reads the database, old pages stay where they are, even with secure_delete.
        for file in (database, *beside(database)):
            _blot(file, wrapping.secrets)
    if any(_contains(file, wrapping.secrets) for file in (database, *beside(database))):
        raise StoreError(f"{_failed}: it is still in {database}", hint="run `hublet forget` again")


def remove(directory: Path, others: Iterable[Path] = ()) -> list[Path]:
    """Remove the store's files, the `aside-N` folders with theirs, and `others`. The caller holds the lock, whose file
    stays. Returns the folders that could not be removed because something else is in them. Raises StoreError."""
    database = directory / database_name
    left = []
    with reporting("the cache's files can't be removed"):
        for folder in sorted(directory.glob("aside-*")):
            _unlink(folder / database_name)
            try:
                folder.rmdir()
            except OSError:
                left.append(folder)
        for other in others:
            other.unlink(missing_ok=True)
        _unlink(database.with_name(f"{database_name}.new"))
        _unlink(database)
        sync_directory(directory)
    return left


def _unlink(database: Path) -> None:
    """Remove the files beside a database first: SQLite would replay a WAL without its database into the next database
    of that name."""
    for file in (*beside(database), database):
        file.unlink(missing_ok=True)


def _zero_rows(database: Path) -> None:
    with closing(connect(database, writable=True)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        marks = ", ".join("?" * len(_KEPT))
        connection.execute(
            f"UPDATE header SET value = zeroblob(length(value)) WHERE name NOT IN ({marks})",  # noqa: S608  only marks
            _KEPT,
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _blot(file: Path, secrets: tuple[bytes, ...]) -> None:
    """Overwrite every occurrence of the secrets in a file by zeros."""
    for at, secret in _places(file, secrets):
        descriptor = os.open(file, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, bytes(len(secret)), at)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _contains(file: Path, secrets: tuple[bytes, ...]) -> bool:
    return bool(_places(file, secrets))


def _places(file: Path, secrets: tuple[bytes, ...]) -> list[tuple[int, bytes]]:
    """Where in a file the secrets stand: offset and secret."""
    if not secrets or not file.exists():
        return []
    content = file.read_bytes()
    found = []
    for secret in secrets:
        at = content.find(secret)
        while at >= 0:
            found.append((at, secret))
            at = content.find(secret, at + 1)
    return found


def _overwrite(file: Path) -> None:
    if not os.path.lexists(file):
        return
    descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size, at = os.fstat(descriptor).st_size, 0
        while at < size:
            at += os.pwrite(descriptor, bytes(min(_PIECE, size - at)), at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
