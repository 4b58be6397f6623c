"""Checks a whole store, and repairs one by keeping what can still be read.

    check     SQLite's own integrity check, the header, the key, the manifest, and every record. Nothing is changed
    repair    keeps every record that opens by itself, leaves out all others, and seals a new manifest

The manifest tells when a record was removed or put back in an older version. If it fits except for records that can't
be opened, it proves that all the others are there. If it does not fit, records may be missing; a new manifest would
accept that, so a person has to agree first. Callers of `repair` hold the store's lock; `check` reads in one transaction
and needs none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import field
from pathlib import Path

from hublet.core.envelope import Envelope, salt_size
from hublet.core.errors import StoreCorrupt, StoreError
from hublet.core.values import dataclass
from hublet.store import schema
from hublet.store.failures import reporting
from hublet.store.manifest import Manifest
from hublet.store.replacing import new_path, replace
from hublet.store.rows import Corrupt, Row
from hublet.store.sealing import mark_of, opened_row

_MOST_PROBLEMS = 20
_checking = "the cache can't be checked"


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found. `rows` are the records that opened, `unreadable` counts the others. `unproved` says in what
    way the manifest does not fit what is there, so that records may be missing or old; it is empty when it fits."""

    format: int
    generation: int | None
    rows: tuple[Row, ...] = field(repr=False)
    unreadable: int = 0
    unproved: str = ""
    problems: tuple[str, ...] = ()

    @property
    def fine(self) -> bool:
        return not (self.unreadable or self.unproved or self.problems)


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair did: how many records were kept and left out, why others may be missing (`Found.unproved`), and the
    folder of the store before; None when nothing was to be repaired."""

    kept: int
    dropped: int
    unproved: str
    aside: Path | None


def check(path: Path, envelope: Envelope, header: schema.Header) -> Found:
    """Check a store in one reading transaction. Raises StoreError when it can't be read at all."""
    with reporting(_checking), closing(schema.connect(path, writable=False)) as connection:
        connection.execute("BEGIN")
        problems = tuple(_integrity(connection))
        found, rows, bad = _records(connection, envelope)
        sealed = _manifest(connection)
    generation, unproved, wrong = _judged(envelope, header, sealed, found, {row.id for row in rows})
    return Found(
        header.format, generation, tuple(row for row in rows if row.id not in wrong), len(bad | wrong),
        unproved, problems[:_MOST_PROBLEMS],
    )  # fmt: skip


def is_sound(path: Path, envelope: Envelope, header: schema.Header, generation: int) -> bool:
    """Whether the store, read afresh from the disk, is whole and has this generation."""
    try:
        found = check(path, envelope, header)
    except StoreError:
        return False
    return found.fine and found.generation == generation


def repair(
    path: Path,
    envelope: Envelope,
    header: schema.Header,
    randomness: Callable[[int], bytes],
    *,
    at_least: int,
    accept_missing: bool,
    mended: Callable[[Row], bytes] = lambda row: row.plaintext,
) -> Repaired:
    """Replace a damaged store by a whole one with the records that can be read, under the same key. The damaged one is
    copied aside first.

    `at_least` is the number of commits that the key source has counted. `mended` gives the plaintext that a record is
    to have when others are left out. Raises StoreCorrupt, and changes nothing, when records may be missing and
    `accept_missing` is false; StoreError for the disk.
    """
    seen = check(path, envelope, header)
    if seen.fine:
        return Repaired(len(seen.rows), 0, "", None)
    if seen.unproved and not accept_missing:
        raise StoreCorrupt(
            f"records may be missing, or older than the last ones: {seen.unproved}",
            hint="`hublet store repair --accept-missing` goes on with what is there",
        )
    kept = {row.id: row for row in seen.rows}
    marks: dict[bytes, bytes] = {}
    rows = []
    with reporting("the cache can't be repaired"):
        with closing(schema.connect(path, writable=False)) as connection:
            for id, kind, sealed in _every(connection):
                if id in kept and id not in marks:
                    plaintext = mended(kept[id])
                    if plaintext != kept[id].plaintext:
                        sealed = envelope.seal(kind, id, plaintext, randomness(salt_size))
                    marks[id] = mark_of(sealed)
                    rows.append((id, kind, sealed))
        generation = max(seen.generation or 0, at_least) + 1
        manifest = Manifest.of(generation, marks).seal(envelope, randomness(salt_size), header.format)
        schema.build(new_path(path), header.having(manifest=manifest), rows)
        aside = replace(path, new_path(path))
    return Repaired(len(rows), seen.unreadable, seen.unproved, aside)


def _integrity(connection: sqlite3.Connection) -> Iterator[str]:
    try:
        for (line,) in connection.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})"):
            if line != "ok":
                yield f"the file: {line}".replace("\n", " ")
    except sqlite3.Error as error:
        yield f"the file: {error}"


def _records(connection: sqlite3.Connection, envelope: Envelope) -> tuple[dict[bytes, bytes], list[Row], set[bytes]]:
    """The marks of all records by id, the records that open, and the ids of those that don't."""
    marks: dict[bytes, bytes] = {}
    rows: list[Row] = []
    bad: set[bytes] = set()
    for id, kind, sealed in _every(connection):
        if id in marks:
            continue
        marks[id] = mark_of(sealed)
        opened = opened_row(id, kind, sealed, envelope)
        if isinstance(opened, Corrupt):
            bad.add(id)
        else:
            rows.append(opened)
    return marks, rows, bad


def _every(connection: sqlite3.Connection) -> Iterator[tuple[bytes, str, bytes]]:
    """Id, kind and sealed bytes of every record that SQLite can read. The table is read from the front and, where a
    damaged page ends that, from the back too, so that a record may come twice."""
    errors = 0
    for order in ("ASC", "DESC"):
        try:
            for id, kind, sealed in connection.execute(f"SELECT id, kind, sealed FROM records ORDER BY id {order}"):  # noqa: S608
                if isinstance(id, bytes) and isinstance(kind, str) and isinstance(sealed, bytes):
                    yield id, kind, sealed
                elif isinstance(id, bytes):
                    yield id, str(kind), b""
        except sqlite3.Error:
            errors += 1
            continue
        if not errors:
            return


def _manifest(connection: sqlite3.Connection) -> bytes:
    with suppress(sqlite3.Error):
        row = connection.execute("SELECT value FROM header WHERE name = 'manifest'").fetchone()
        if row is not None and isinstance(row[0], bytes):
            return row[0]
    return b""


def _judged(
    envelope: Envelope, header: schema.Header, sealed: bytes, found: dict[bytes, bytes], opened: set[bytes]
) -> tuple[int | None, str, set[bytes]]:
    """The generation (None when the manifest can't be read), in what way the manifest does not fit the records that
    were `found` (id → mark), and the ids of the records that are older versions. `opened` are the ids of the records
    that open."""
    try:
        manifest = Manifest.open(envelope, sealed, header.format)
    except StoreError as error:
        return None, f"the manifest can't be read ({error.message})", set()
    try:
        differing = manifest.differing(found)
    except StoreError as error:
        return manifest.generation, error.message, set()
    # Each opens, so each was sealed here under its id; but it is not what was written last.
    old = differing.keys() & opened
    return manifest.generation, f"{len(old)} records are older versions that were put back" if old else "", set(old)
