"""The format of the store's file: its tables, the rows of its header, and the only functions that open or make it.

    header    name → value     format           "1"
                               wrapped.format   the format in which the DEK was wrapped, if it was migrated since
                               store            the store's UUID, 16 bytes
                               source           the key source's name
                               source.NAME      a parameter of the key source
                               check            tells a wrong KEK from a damaged header (envelope.check_value)
                               since            when this key was made, seconds since 1970, decimal
                               was, was.account the former entry in the keyring, which may still be there
                               wrapped_dek      the DEK under the KEK, bound to every row above; zeros: destroyed
                               escrow           the DEK under a recovery code, see unlocking.py; may be missing
                               manifest         see manifest.py
    records   id → kind, sealed

Format 1 is the only one so far. From format 2 on, the manifest's associated data names the format, so that nobody can
write an older number into the header. Every later format keeps the table `header` as it is: so an older hublet can tell
that a store is newer.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from hublet.core.envelope import uuid_size
from hublet.core.errors import StoreCorrupt, StoreFormat
from hublet.core.values import dataclass
from hublet.store.failures import reset_hint, sync_directory

database_name = "hublet.sqlite3"
companions = ("-wal", "-shm", "-journal")
format_version = 1
application_id = 0x48754C74  # "HuLt"
busy_seconds = 1.0

# records is WITHOUT ROWID: a single tree, without a separate index that could differ from the table after damage.
tables = {
    "header": "CREATE TABLE header (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID",
    "records": (
        "CREATE TABLE records (id BLOB PRIMARY KEY NOT NULL, kind TEXT NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID"
    ),
}
tables_of = {format_version: tables}
"""The tables of every format that can be opened, by format. Older ones are brought to this one (migrations.py)."""
wrapped_format = "wrapped.format"
# The rows that are sealed themselves and change by themselves. The wrapped DEK authenticates every other row.
sealed_rows = frozenset({"wrapped_dek", "escrow", "manifest"})


@dataclass(frozen=True)
class Header:
    """The header's rows. They are not to be trusted before the wrapped DEK has been opened with `authenticated()` as
    its associated data."""

    rows: Mapping[str, bytes]

    @classmethod
    def describing(cls, store: bytes, source: str, parameters: Mapping[str, str], check: bytes, since: int) -> Header:
        """The header of a new store, or of a store with a new key, still without its sealed rows."""
        rows = {"format": str(format_version).encode(), "store": store, "source": source.encode(), "check": check}
        rows["since"] = str(since).encode()
        return cls(rows | {f"source.{name}": value.encode() for name, value in parameters.items()})

    def having(self, **sealed: bytes) -> Header:
        return Header({**self.rows, **sealed})

    def authenticated(self) -> bytes:
        """The rows that are not sealed themselves, as one unambiguous byte string: sorted by name, each name and value
        after its length."""
        rows = {**self.rows, "format": self.rows.get(wrapped_format, self.rows["format"])}
        parts = []
        for name, value in sorted(rows.items()):
            if name not in sealed_rows and name != wrapped_format:
                for part in (name.encode(), value):
                    parts += [len(part).to_bytes(4, "big"), part]
        return b"".join(parts)

    @property
    def format(self) -> int:
        return int(self.rows["format"])

    @property
    def store(self) -> bytes:
        return self.rows["store"]

    @property
    def source(self) -> str:
        return self.rows["source"].decode("utf-8", "replace")

    @property
    def since(self) -> int | None:
        """When the key was made, in seconds since 1970; None when the header does not say."""
        text = self.rows.get("since", b"")
        return int(text) if text.isdigit() and len(text) < 16 else None

    @property
    def former_account(self) -> str | None:
        """The account of the keyring's entry that kept the key before this one; None when there was none."""
        value = self.rows.get("was.account")
        return value.decode("utf-8", "replace") if value else None

    @property
    def parameters(self) -> dict[str, str]:
        """The key source's parameters, as it gave them when the store or its present key was made."""
        prefix = "source."
        return {
            name.removeprefix(prefix): value.decode("utf-8", "replace")
            for name, value in self.rows.items()
            if name.startswith(prefix)
        }


def create(path: Path, header: Header) -> None:
    """Make a new store, whole or not at all: it is built beside its place, flushed, and renamed. Raises sqlite3.Error,
    OSError.

    The caller holds the lock and has made sure that there is no file at `path`.
    """
    # SQLite would replay a WAL that was left without its database into the next database of that name.
    for leftover in beside(path):
        leftover.unlink(missing_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    build(temporary, header)
    temporary.rename(path)
    sync_directory(path.parent)


def build(path: Path, header: Header, records: Iterable[tuple[bytes, str, bytes]] = ()) -> None:
    """Build a database at a path where nobody opens one yet; it is on the disk when this returns. Raises sqlite3.Error,
    OSError."""
    for leftover in (path, *beside(path)):
        leftover.unlink(missing_ok=True)  # a crash may have left them
    # Made before SQLite opens it, which gives -wal and -shm the mode of the main file: all are private from the start.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        with closing(_connection(path, "rw")) as connection:
            # SQLite needs no journal file and no flush here: nobody opens this file until it is flushed and renamed.
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = OFF")
            # With 16 KB pages a record takes two pages instead of six, and 200 records load a third faster.
            connection.execute("PRAGMA page_size = 16384")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA application_id = {application_id}")
            for statement in tables.values():
                connection.execute(statement)
            connection.executemany("INSERT INTO header VALUES (?, ?)", header.rows.items())
            connection.executemany("INSERT INTO records (id, kind, sealed) VALUES (?, ?, ?)", records)
            connection.execute("COMMIT")
            # After the tables were written: otherwise a WAL could be left behind when it can't be moved into the file.
            connection.execute("PRAGMA journal_mode = WAL")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def beside(path: Path) -> list[Path]:
    """The files that SQLite keeps beside a database."""
    return [path.with_name(path.name + ending) for ending in companions]


def has_wal(path: Path) -> bool:
    """Whether something is in the WAL beside a database."""
    try:
        return beside(path)[0].stat().st_size > 0
    except OSError:
        return False


def connect(path: Path, *, writable: bool, alone: bool = False) -> sqlite3.Connection:
    """A connection to a store that exists. It may be used from any thread, by one at a time. Raises sqlite3.Error,
    OSError, StoreFormat.

    A connection that is not writable leaves the database as it is, and a WAL that a crash has left too (a writable one
    moves the WAL into the database when it is closed). With `alone` the caller knows that nobody else writes; then no
    file is made beside the database.
    """
    # O_NOFOLLOW, because with a symbolic link SQLite would keep the WAL beside the link's target.
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
    except OSError as error:
        if path.is_symlink():
            raise StoreFormat(f"the cache {path} is a symbolic link", hint="cache.directory may be one") from error
        raise
    connection = _connection(path, "rw" if writable else "ro&immutable=1" if alone and not has_wal(path) else "ro")
    if writable:
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")  # on macOS only this flush reaches the disk
            connection.execute("PRAGMA secure_delete = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def keep_few_pages(connection: sqlite3.Connection) -> None:
    """Keep only 256 KiB of pages in memory instead of SQLite's 2 MB: each record is read only once. This reads the
    database, so it is not to be called for one that may be damaged. Raises sqlite3.Error."""
    connection.execute("PRAGMA cache_size = -256")


def read_header(connection: sqlite3.Connection) -> Header:
    """The header of a store of this format or an older one. Raises sqlite3.Error, StoreFormat, StoreCorrupt."""
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == application_id
    found = dict(connection.execute("SELECT name, sql FROM sqlite_master"))
    if not ours or "header" not in found:
        raise StoreFormat("the file is not a cache of hublet", hint=reset_hint)
    if found["header"] != tables["header"]:
        raise StoreCorrupt("the cache's tables are not those that hublet makes", hint=reset_hint)
    rows = dict(connection.execute("SELECT name, value FROM header"))
    if not all(isinstance(part, kind) for row in rows.items() for part, kind in zip(row, (str, bytes), strict=True)):
        raise StoreCorrupt("the cache's header has values that can't be", hint=reset_hint)
    version = rows.get("format", b"")
    if not version.isdigit() or len(version) > 9:
        raise StoreCorrupt("the cache's header does not say its format", hint=reset_hint)
    if int(version) > format_version:
        raise StoreFormat(
            f"the cache is of format {int(version)}, this hublet knows {format_version}", hint="use a newer hublet"
        )
    if int(version) not in tables_of:
        raise StoreFormat(f"the cache is of the unknown format {int(version)}", hint=reset_hint)
    # A trigger or a view that somebody put into the file would run as part of our statements. So the file is only used
    # if its tables are ours to the letter, and there is nothing else.
    if found != tables_of[int(version)]:
        raise StoreCorrupt("the cache's tables are not those that hublet makes", hint=reset_hint)
    if not {"store", "source", "check", "wrapped_dek", "manifest"} <= rows.keys() or len(rows["store"]) != uuid_size:
        raise StoreCorrupt("the cache's header is not complete", hint=reset_hint)
    return Header(rows)


def _connection(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,  # transactions are begun and ended explicitly
        check_same_thread=False,
    )
    try:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")  # damaged text must not end a whole read
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection
