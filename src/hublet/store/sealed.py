"""The sealed store: every record is encrypted, every commit is one transaction, and a manifest covers all records.

A store is only read until it is verified: `open` and `load` use a read-only connection, and the first `commit` opens a
writable one. So a store that can't be opened (wrong key, damaged header, newer format) stays as it is, byte by byte.
"""

from __future__ import annotations

import hmac
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Self

from hublet.core.envelope import Envelope, Key, salt_size
from hublet.core.errors import HubletError, StoreCorrupt, StoreError
from hublet.store import schema
from hublet.store.counting import Counter
from hublet.store.failures import reporting, reset_hint
from hublet.store.lock import Lock, lock_name, make_private
from hublet.store.manifest import Manifest, refuse_replaced
from hublet.store.place import Place, StoreChanged
from hublet.store.replacing import new_path, replace
from hublet.store.rows import Corrupt, Row, Unopened, Write, drained
from hublet.store.sealing import head_size, mark_of, opened_row, sealed_row
from hublet.store.unlocking import KeySource, create_store, escrowed, former, header_under, recovered, unlocked

_read_failed = "the cache can't be read"
_write_failed = "the cache can't be written"


class Store:
    """One hublet's store. Transitions: open (reading) → commit (writing) → closed.

    Its methods may be called from any thread, but by one at a time; the caller sees to that (Archive holds a lock).
    """

    def __init__(
        self,
        path: Path,
        lock: Lock,
        connection: sqlite3.Connection,
        header: schema.Header,
        envelope: Envelope,
        manifest: Manifest,
        randomness: Callable[[int], bytes],
    ) -> None:
        self.path = path
        self.header = header
        self.envelope = envelope
        self.generation = manifest.generation  # of the last commit; it only ever grows
        # Whether replaced ciphertext may still be in the files, so that `scrub` has to be called again. A WAL that is
        # there now was left by a crash, which may have come between a commit and its scrub.
        self.scrub_due = schema.has_wal(path)
        self.place = Place(path, path.with_name(lock_name))
        self._lock = lock
        self._connection = connection
        self._writing = False
        self._randomness = randomness
        # The mark of each record by id (`mark_of`); None until the file has been verified by `load`.
        self._marks: dict[bytes, bytes] | None = None
        self._sealed_manifest = b""
        self.counter = Counter(None, header.store)
        self.restored_at: float | None = None  # when this was found to be an older store that was put back
        self._at_least = 0  # the key source's count; the next generation is larger, else another old copy would pass

    @classmethod
    def open(
        cls,
        directory: Path,
        source: KeySource,
        *,
        randomness: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Open the store of a data directory. Directory (0700) and store (0600) are made when there is none.

        Raises StoreLocked when another hublet has it open; KeySourceError when the source has no key or a wrong one;
        StoreFormat when it has a newer format or is no store; StoreCorrupt when header or manifest were changed;
        StoreError for the disk. Whatever is raised, a store that was there is not changed.
        """
        directory = Path(directory).absolute()
        make_private(directory)

        def create(path: Path) -> None:
            with reporting(_write_failed):
                if not os.path.lexists(path):
                    create_store(path, source, randomness, clock())

        store = cls._opened_by(directory, lambda header: unlocked(header, source), randomness, create)
        store.counter = Counter(source, store.header.store)
        store.compare(store.counter, clock())
        return store

    @classmethod
    def recover(cls, directory: Path, code: Key, *, randomness: Callable[[int], bytes] = os.urandom) -> Self:
        """Open an existing store with its recovery code instead of its key source. Raises like `open`."""
        return cls._opened_by(Path(directory).absolute(), lambda header: recovered(header, code), randomness)

    @classmethod
    def _opened_by(
        cls,
        directory: Path,
        unlock: Callable[[schema.Header], Envelope],
        randomness: Callable[[int], bytes],
        create: Callable[[Path], None] = lambda _: None,
    ) -> Self:
        lock = Lock.take(directory)
        try:
            path = directory / schema.database_name
            create(path)
            with reporting(_read_failed):
                connection = schema.connect(path, writable=False)
                try:
                    header = schema.read_header(connection)
                    schema.keep_few_pages(connection)
                    envelope = unlock(header)
                    manifest = Manifest.open(envelope, header.rows["manifest"], header.format)
                except BaseException:
                    connection.close()
                    raise
        except BaseException:
            lock.release()
            raise
        store = cls(path, lock, connection, header, envelope, manifest, randomness)
        if header.format == schema.format_version:
            return store
        from hublet.store.migrations import upgrade

        with store:
            store.load()  # verify it before it is changed
            upgrade(path, header, envelope, randomness)
        return cls._opened_by(directory, lambda _: envelope, randomness)

    def load(self, *, unopened: frozenset[str] = frozenset()) -> Iterator[Row | Corrupt | Unopened]:
        """All records, in no order. All are verified before the first is given, and each is freed once it is taken.

        Records of the kinds `unopened` are only checked to be there as last written. Their kind is not authenticated
        before they are opened, so the caller has to know their ids. Raises StoreCorrupt when a record is missing,
        added, swapped with another or put back in an older version; StoreError for the disk. A record that is damaged
        is given as Corrupt: only its own content is lost.
        """
        with reporting(_read_failed):
            self._connection.execute("BEGIN")
            try:
                found: dict[bytes, bytes] = {}
                loaded = [self._opened(record, found, unopened) for record in self._records(unopened)]
                sealed = self._stored_manifest()
            finally:
                self._connection.execute("ROLLBACK")
            manifest = Manifest.open(self.envelope, sealed, self.header.format)
        if manifest.generation < self.generation:
            raise StoreCorrupt("an older version of the cache was put in its place", hint=reset_hint)
        expected = manifest.differing(found)
        if expected and unopened:
            return self.load()  # the wrong record may be an unopened one: open them all
        refuse_replaced(loaded, found, expected)
        self._marks = found | expected
        self._sealed_manifest = sealed
        self.generation = manifest.generation
        loaded.reverse()
        return drained(loaded)

    def read(self, kind: str, id: bytes) -> Row | Corrupt | None:
        """One record as it was last committed; None without one, Corrupt if it does not open. Raises StoreError."""
        if self._marks is None:
            self.load()
        assert self._marks is not None
        if id not in self._marks:
            return None
        with reporting(_read_failed):
            found = self._connection.execute(
                "SELECT id, kind, sealed FROM records WHERE id = ? AND kind = ?", (id, kind)
            ).fetchone()
        return self._proved(found) if found is not None else Corrupt(id, kind)

    def commit(self, writes: Iterable[Write], deletes: Iterable[bytes] = ()) -> None:
        """Delete, then write records, in one transaction with the manifest: all or nothing, on the disk when it
        returns.

        Raises StoreError (StoreCorrupt when another program changed the file); then nothing has changed. Ids that are
        not there are ignored; without a change nothing is written. Each record is sealed just before it is written, so
        that not all plaintexts and all sealed records are in memory at once.
        """
        if self._marks is None:
            self.load()
        had = self._marks
        assert had is not None
        marks = had.copy()
        with reporting(_write_failed):
            gone = [(id,) for id in deletes if marks.pop(id, None) is not None]
            waiting = iter(writes)
            first = tuple(islice(waiting, 1))
            rows = (sealed_row(write, self.envelope, marks, self._randomness) for write in chain(first, waiting))
            if gone or first:
                with self._transaction() as connection:
                    connection.executemany("DELETE FROM records WHERE id = ?", gone)
                    connection.executemany(
                        "INSERT INTO records (id, kind, sealed) VALUES (?, ?, ?)"
                        " ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, sealed = excluded.sealed",
                        rows,
                    )
                    generation, manifest = self._next, self._manifest(self.envelope, marks)
                    connection.execute("UPDATE header SET value = ? WHERE name = 'manifest'", (manifest,))
                # Every version of a record has its own mark. One that is missing now was overwritten or deleted.
                self.scrub_due = self.scrub_due or not had.items() <= marks.items()
                self._marks, self._sealed_manifest, self.generation = marks, manifest, generation
                self.counter.reached(generation)
        self._try_to_scrub()

    def rekey(self, source: KeySource, kek: Key, renamed: Callable[[Row, Envelope], bytes | None], now: float) -> int:
        """Seal everything anew, under a new DEK that is wrapped under `kek` of `source`, in one transaction.

        `renamed` gives a record's id under the new envelope, or None to leave the record behind. Ids are made with the
        DEK, so all of them change, and with them the names of icons. A recovery code becomes void. Returns the number
        of records that were left behind, because they don't open or have no new id. Raises StoreError; then the store
        is the old one or, when the COMMIT itself failed, whichever of the two the file holds.
        """
        rows = list(self.load())
        header, envelope = header_under(
            kek, self.header.store, source.name, source.parameters, self._randomness, now, former(self.header, source)
        )
        marks: dict[bytes, bytes] = {}
        sealed = []
        for row in rows:
            id = renamed(row, envelope) if isinstance(row, Row) else None
            if id is not None and isinstance(row, Row):
                sealed.append(sealed_row(Write(row.kind, id, row.plaintext), envelope, marks, self._randomness))
        generation, manifest = self._next, self._manifest(envelope, marks)
        header = header.having(manifest=manifest, **({"escrow": b""} if "escrow" in self.header.rows else {}))
        with reporting(_write_failed):
            try:
                with self._transaction() as connection:
                    connection.execute("DELETE FROM records")
                    connection.executemany("INSERT INTO records VALUES (?, ?, ?)", sealed)
                    connection.execute("DELETE FROM header")
                    connection.executemany("INSERT INTO header VALUES (?, ?)", header.rows.items())
            except BaseException:
                with suppress(sqlite3.Error, HubletError):
                    found = schema.read_header(self._connection)
                    if found.rows["wrapped_dek"] == header.rows["wrapped_dek"]:
                        self.header, self.envelope = header, envelope
                raise
        self.header, self.envelope = header, envelope
        self._marks, self._sealed_manifest, self.generation = marks, manifest, generation
        self.counter = Counter(source, header.store)
        self.counter.reached(generation)
        self.scrub_due = True
        self._try_to_scrub()
        return len(rows) - len(sealed)

    def escrow(self, code: Key, now: float) -> None:
        """Wrap the DEK under a recovery code too, in place of the code before it. Raises StoreError."""
        if self._marks is None:
            self.load()
        marks = self._marks
        row = escrowed(self.header, self.envelope, code, self._randomness, now)
        with reporting(_write_failed), self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO header VALUES ('escrow', ?)", (row,))
        self._marks = marks
        self.header = self.header.having(escrow=row)
        self.scrub_due = True
        self._try_to_scrub()

    def renew(self, writes: Iterable[Write]) -> Path | None:
        """Make the store anew under the same key, with these records only, after its file was deleted or damaged.

        Returns the folder with a copy of what lay in its place, None when there was nothing. Raises StoreError, and
        StoreLocked when the lock's file was lost and another hublet has the lock now.
        """
        with reporting(_write_failed):
            make_private(self.path.parent)
            self._lock = self._lock.held_in(self.path.parent)
            marks: dict[bytes, bytes] = {}
            rows = [sealed_row(write, self.envelope, marks, self._randomness) for write in writes]
            generation = self._next
            header = self.header.having(manifest=self._manifest(self.envelope, marks))
            schema.build(new_path(self.path), header, rows)
            aside = replace(self.path, new_path(self.path))
            connection = schema.connect(self.path, writable=False)
            self._connection.close()
            self._connection, self._writing, self._marks = connection, False, None
            self.place = Place(self.path, self.path.with_name(lock_name))
            self.generation = generation
            self.counter.reached(generation)
        return aside

    def scrub(self) -> bool:
        """Remove the ciphertext of replaced and deleted records from the files. False when a reader prevented it.

        secure_delete has overwritten it in the pages in the WAL. Moving those into the database and truncating the WAL
        removes the last of it. File system and disk may still keep former versions. Raises StoreError.
        """
        with reporting(_write_failed):
            busy = self._writable().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        self.scrub_due = bool(busy)
        self.place.note()
        return not busy

    def close(self) -> None:
        """Close the file and let the next hublet in. Harmless when called again."""
        self.counter.finish()
        with suppress(sqlite3.Error):
            self._connection.close()
        self._lock.release()

    def compare(self, counter: Counter, now: float) -> None:
        """Set `restored_at` when the key source has counted more commits than this store has: it is an older copy."""
        self._at_least = max(self._at_least, counter.read())
        if self._at_least > self.generation and self.restored_at is None:
            self.restored_at = now

    @property
    def _next(self) -> int:
        return max(self.generation, self._at_least) + 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _records(self, unopened: frozenset[str]) -> Iterator[tuple[object, str, object]]:
        """All rows; of the kinds `unopened` only the bytes that `mark_of` needs, and the rest stays on the disk."""
        kinds = ", ".join("?" * len(unopened))
        sealed = f"CASE WHEN kind IN ({kinds}) THEN substr(sealed, 1, {head_size}) ELSE sealed END"
        return iter(self._connection.execute(f"SELECT id, kind, {sealed} FROM records", tuple(unopened)))  # noqa: S608

    def _proved(self, record: tuple[object, str, object]) -> Row | Corrupt:
        """A record that was read alone, opened; Corrupt when it is not the version that was written last."""
        found: dict[bytes, bytes] = {}
        opened = self._opened(record, found)
        if isinstance(opened, Unopened) or self._marks is None or self._marks.get(opened.id) != found[opened.id]:
            return Corrupt(opened.id, opened.kind)
        return opened

    def _opened(
        self, record: tuple[object, str, object], found: dict[bytes, bytes], unopened: frozenset[str] = frozenset()
    ) -> Row | Corrupt | Unopened:
        id, kind, sealed = record
        if not isinstance(id, bytes) or id in found:
            raise StoreCorrupt("the cache has a record whose id can't be", hint=reset_hint)
        if not isinstance(sealed, bytes) or not isinstance(kind, str):
            found[id] = b""
            return Corrupt(id, str(kind))
        found[id] = mark_of(sealed)
        return Unopened(id, kind) if kind in unopened else opened_row(id, kind, sealed, self.envelope)

    def _stored_manifest(self) -> bytes:
        row = self._connection.execute("SELECT value FROM header WHERE name = 'manifest'").fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise StoreCorrupt("the cache's manifest is missing", hint=reset_hint)
        return row[0]

    def _writable(self) -> sqlite3.Connection:
        if not self._writing:
            connection = schema.connect(self.path, writable=True)
            schema.keep_few_pages(connection)
            self._connection.close()
            self._connection, self._writing = connection, True
        return self._connection

    def _manifest(self, envelope: Envelope, marks: dict[bytes, bytes]) -> bytes:
        return Manifest.of(self._next, marks).seal(envelope, self._randomness(salt_size), schema.format_version)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction, all or nothing. Until its COMMIT has succeeded, the file's content counts as unknown."""
        from hublet.store.check import is_sound

        self.place.check(lambda: is_sound(self.path, self.envelope, self.header, self.generation))
        connection = self._writable()
        self._marks = None  # a COMMIT that failed may still be on the disk, so the next commit loads the file first
        try:
            connection.execute("BEGIN IMMEDIATE")
            # The marks must still describe what is there: a new manifest vouches for the file as the marks say it is.
            if not hmac.compare_digest(self._stored_manifest(), self._sealed_manifest):
                raise StoreChanged("the cache was changed by another program while hublet had it open", hint=reset_hint)
            yield connection
            connection.execute("COMMIT")
            self.place.note()
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            self._writing = False  # open it again the next time: one opened while the disk was read-only stays so
            raise

    def _try_to_scrub(self) -> None:
        """Scrub if it is due. The commit is on the disk already, so an error must not make it look undone."""
        if self.scrub_due:
            with suppress(StoreError):
                self.scrub()
