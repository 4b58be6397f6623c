"""Looking a store through from end to end, and making a whole one of what can still be read.

    check     SQLite's own integrity check; header, key and manifest; every record opened. Nothing is changed
    salvage   every record that opens by itself is kept, all others are left out, a new manifest over the rest

A manifest is what notices a record that was taken away or put back in an older version. Where only records that can't
be opened are left out it vouches for the rest; where it does not fit, a new one accepts whatever is missing, so that
needs a person's word. Callers hold the store's lock, or see it through a reader's eyes.
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
    """What a check found. `unproved`: the manifest does not fit what is there, so records may be missing or old."""

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
    """What a repair made: records kept and left out, whether others may be missing, where the store of before is."""

    kept: int
    dropped: int
    unproved: str
    aside: Path | None


def check(path: Path, envelope: Envelope, header: schema.Header) -> Found:
    """Look a store through, in one reading transaction. Raises StoreError when it can't be read at all."""
    with reporting(_checking), closing(schema.connect(path, writable=False)) as connection:
        connection.execute("BEGIN")
        problems = tuple(_integrity(connection))
        found, rows, bad, broken = _records(connection, envelope)
        if broken:
            problems = (*problems, broken)
        sealed = _manifest(connection)
    generation, unproved, wrong = _judged(envelope, header, sealed, found, {row.id for row in rows})
    return Found(
        header.format, generation, tuple(row for row in rows if row.id not in wrong), len(bad | wrong),
        unproved, problems[:_MOST_PROBLEMS],
    )  # fmt: skip


def is_sound(path: Path, envelope: Envelope, header: schema.Header, generation: int) -> bool:
    """Whether a fresh look at a store finds it whole, and of this commit."""
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
    """A whole store of what can be read of a damaged one, under the same key; that one is copied aside first.

    `at_least` is the count of commits outside the store, `mended` gives the plaintext that a record is to have where
    others are left out. Raises StoreCorrupt, and changes nothing, when records may be
    missing and that is not accepted; StoreError for the disk.
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


def _records(
    connection: sqlite3.Connection, envelope: Envelope
) -> tuple[dict[bytes, bytes], list[Row], set[bytes], str]:
    """The marks of all records that are there, those that open, the ids of those that don't, and what broke it off."""
    marks: dict[bytes, bytes] = {}
    rows: list[Row] = []
    bad: set[bytes] = set()
    broken = ""
    try:
        for id, kind, sealed in _every(connection):
            if id in marks:
                continue
            marks[id] = mark_of(sealed)
            opened = opened_row(id, kind, sealed, envelope)
            if isinstance(opened, Corrupt):
                bad.add(id)
            else:
                rows.append(opened)
    except sqlite3.Error as error:
        broken = f"the records: {error}"
    return marks, rows, bad, broken


def _every(connection: sqlite3.Connection) -> Iterator[tuple[bytes, str, bytes]]:
    """From the front, and where a damaged page breaks that off, from the back too. Raises sqlite3.Error if both break
    off before anything was read."""
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
    """The generation, what the manifest says against what is there, and the ids of records of before."""
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
