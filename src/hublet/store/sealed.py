"""The sealed store: every record encrypted, one transaction a commit, a manifest over them all.

A store is only ever read until it has proved itself: `open` and `load` use a read-only connection, and the first
`commit` opens another one. So a store that a wrong key, a damaged header or a newer format keeps shut is left as it
was, byte by byte.
"""

from __future__ import annotations

import hmac
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from hublet.core.envelope import Envelope, pad, salt_size, unpad
from hublet.core.errors import StoreCorrupt, StoreError
from hublet.store import schema
from hublet.store.failures import reporting, reset_hint
from hublet.store.lock import Lock, make_private
from hublet.store.manifest import Manifest, mark_size
from hublet.store.unlocking import KeySource, create_store, unlocked

# Kinds whose length alone would tell something: a record of theirs is filled up to a multiple of 256 bytes.
padded_kinds = frozenset({"secret"})
_read_failed = "the cache can't be read"
_write_failed = "the cache can't be written"


@dataclass(frozen=True, slots=True)
class Row:
    """A record that opened: exactly what was last committed under this id."""

    kind: str
    id: bytes
    plaintext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Corrupt:
    """A record that does not open, but belongs here by the manifest. `kind` is what the file says, unproved."""

    id: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Write:
    """A record to be put under its id, in place of the one that may be there."""

    kind: str
    id: bytes
    plaintext: bytes = field(repr=False)


class Store:
    """One hublet's store. Transitions: open (reading) → commit (writing) → closed.

    Its methods may be called from any thread, but by one at a time: the caller serialises them (the daemon's
    commits run one after another in a worker thread).
    """

    def __init__(
        self,
        path: Path,
        lock: Lock,
        connection: sqlite3.Connection,
        envelope: Envelope,
        manifest: Manifest,
        randomness: Callable[[int], bytes],
    ) -> None:
        self.path = path
        self.envelope = envelope
        self.generation = manifest.generation  # of the last commit; it only ever grows
        self.scrub_due = False  # old ciphertext may still be in the live files: call `scrub` again later
        self._lock = lock
        self._connection = connection
        self._writing = False
        self._randomness = randomness
        # What the last write of each record is known by, None while what is in the file has yet to be verified.
        self._marks: dict[bytes, bytes] | None = None
        self._sealed_manifest = b""

    @classmethod
    def open(cls, directory: Path, source: KeySource, *, randomness: Callable[[int], bytes] = os.urandom) -> Self:
        """The store of a data directory, which is made (0700, its files 0600) with a new store when there is none.

        Raises StoreLocked when another hublet has it; KeySourceError when the source has no key for it, or another
        one; StoreFormat when it is of a newer format or no store; StoreCorrupt when header or manifest were changed;
        StoreError for the disk. Whatever is raised, a store that was there is not changed.
        """
        directory = Path(directory).absolute()
        make_private(directory)
        lock = Lock.take(directory)
        try:
            path = directory / schema.database_name
            with reporting(_write_failed):
                if not os.path.lexists(path):
                    create_store(path, source, randomness)
            with reporting(_read_failed):
                connection = schema.connect(path, writable=False)
                try:
                    header = schema.read_header(connection)
                    envelope = unlocked(header, source)
                    manifest = Manifest.open(envelope, header.rows["manifest"])
                except BaseException:
                    connection.close()
                    raise
        except BaseException:
            lock.release()
            raise
        return cls(path, lock, connection, envelope, manifest, randomness)

    def load(self) -> Iterator[Row | Corrupt]:
        """All records, in no order. All is verified before the first one is given; each is let go as it is taken.

        Raises StoreCorrupt when a record is missing, added, swapped with another or put back in an older version,
        StoreError for the disk. A record that was damaged by itself is given as Corrupt: only what it held is lost.
        """
        with reporting(_read_failed):
            self._connection.execute("BEGIN")
            try:
                found: dict[bytes, bytes] = {}
                loaded = [self._opened(record, found) for record in self._records()]
                sealed = self._stored_manifest()
            finally:
                self._connection.execute("ROLLBACK")
            manifest = Manifest.open(self.envelope, sealed)
        if manifest.generation < self.generation:
            raise StoreCorrupt("an older version of the cache was put in its place", hint=reset_hint)
        expected = manifest.differing(found)
        for record in loaded:
            if record.id not in expected:
                continue
            if isinstance(record, Row):
                raise StoreCorrupt("an older version of a record was put back into the cache", hint=reset_hint)
            if found[record.id] in expected.values():
                raise StoreCorrupt("records of the cache were swapped", hint=reset_hint)
        self._marks = found | expected
        self._sealed_manifest = sealed
        self.generation = manifest.generation
        loaded.reverse()
        return _drained(loaded)

    def commit(self, writes: Iterable[Write], deletes: Iterable[bytes] = ()) -> None:
        """Deletes, then writes, in one transaction with the manifest: on disk when it returns, all or nothing.

        Raises StoreError (StoreCorrupt when the file was changed behind our back) and then leaves what was there. An
        id that is not there is deleted without complaint; without a change nothing is written.
        """
        if self._marks is None:
            self.load()
        assert self._marks is not None
        marks = self._marks.copy()
        with reporting(_write_failed):
            connection = self._writable()
            gone = [id for id in deletes if marks.pop(id, None) is not None]
            before = len(gone)
            rows = []
            for write in writes:
                before += write.id in marks
                plaintext = pad(write.plaintext) if write.kind in padded_kinds else write.plaintext
                sealed = self.envelope.seal(write.kind, write.id, plaintext, self._randomness(salt_size))
                marks[write.id] = _mark(sealed)
                rows.append((write.id, write.kind, sealed))
            if gone or rows:
                self._transact(connection, gone, rows, marks)
        self.scrub_due = self.scrub_due or before > 0
        if self.scrub_due:
            # The commit is on disk already: a disk that fails now must not make it look undone.
            with suppress(StoreError):
                self.scrub()

    def scrub(self) -> bool:
        """Takes replaced and deleted records' ciphertext out of the live files; False when a reader kept it in.

        secure_delete has overwritten it in the pages that are new; moving those into the database and cutting the WAL
        to nothing removes the last of it. Nothing is claimed of what file system or disk keep. Raises StoreError.
        """
        with reporting(_write_failed):
            busy = self._writable().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        self.scrub_due = bool(busy)
        return not busy

    def close(self) -> None:
        """Closes the file and lets the next hublet in. Harmless when called again."""
        with suppress(sqlite3.Error):
            self._connection.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _records(self) -> Iterator[tuple[object, str, object]]:
        return iter(self._connection.execute("SELECT id, kind, sealed FROM records"))

    def _opened(self, record: tuple[object, str, object], found: dict[bytes, bytes]) -> Row | Corrupt:
        id, kind, sealed = record
        if not isinstance(id, bytes) or id in found:
            raise StoreCorrupt("the cache has a record whose id can't be", hint=reset_hint)
        if not isinstance(sealed, bytes) or not isinstance(kind, str):
            found[id] = b""
            return Corrupt(id, str(kind))
        found[id] = _mark(sealed)
        try:
            plaintext = self.envelope.open(kind, id, sealed)
            return Row(kind, id, unpad(plaintext) if kind in padded_kinds else plaintext)
        except StoreError:
            return Corrupt(id, kind)

    def _stored_manifest(self) -> bytes:
        row = self._connection.execute("SELECT value FROM header WHERE name = 'manifest'").fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise StoreCorrupt("the cache's manifest is missing", hint=reset_hint)
        return row[0]

    def _writable(self) -> sqlite3.Connection:
        if not self._writing:
            connection = schema.connect(self.path, writable=True)
            self._connection.close()
            self._connection = connection
            self._writing = True
        return self._connection

    def _transact(
        self,
        connection: sqlite3.Connection,
        gone: list[bytes],
        rows: list[tuple[bytes, str, bytes]],
        marks: dict[bytes, bytes],
    ) -> None:
        generation = self.generation + 1
        manifest = Manifest.of(generation, marks).seal(self.envelope, self._randomness(salt_size))
        try:
            connection.execute("BEGIN IMMEDIATE")
            # What the marks describe must still be what is there: a manifest over anything else would vouch for it.
            if not hmac.compare_digest(self._stored_manifest(), self._sealed_manifest):
                raise StoreCorrupt("the cache was changed by another program while hublet had it open", hint=reset_hint)
            connection.executemany("DELETE FROM records WHERE id = ?", [(id,) for id in gone])
            connection.executemany(
                "INSERT INTO records (id, kind, sealed) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, sealed = excluded.sealed",
                rows,
            )
            connection.execute("UPDATE header SET value = ? WHERE name = 'manifest'", (manifest,))
            connection.execute("COMMIT")
        except BaseException:
            # A COMMIT that failed may be on disk all the same: the next commit looks at the file first.
            self._marks = None
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        self._marks, self._sealed_manifest, self.generation = marks, manifest, generation


def _drained(records: list[Row | Corrupt]) -> Iterator[Row | Corrupt]:
    while records:
        yield records.pop()


def _mark(sealed: bytes) -> bytes:
    return sealed[1 : 1 + mark_size]
