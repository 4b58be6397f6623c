"""From an older format of the store to the present one: a step for each format, each in one transaction.

A store is verified whole before it gets here, and copied aside first (`aside-N` in the data directory): an older hublet
opens that copy. A crash leaves the format before a step or the one after it, and the next start goes on from there.

Whoever makes format N + 1 adds its tables to `schema.tables_of`, raises `schema.format_version`, adds a step here, and
keeps a store of format N in tests/store/kept.
"""

from __future__ import annotations

import hmac
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from hublet.core.envelope import Envelope, salt_size
from hublet.core.errors import StoreCorrupt, StoreFormat
from hublet.store import schema
from hublet.store.failures import reporting, reset_hint
from hublet.store.manifest import Manifest
from hublet.store.replacing import keep_aside
from hublet.store.sealing import mark_of

log = logging.getLogger("hublet.store")

Randomness = Callable[[int], bytes]
Step = Callable[[sqlite3.Connection, Envelope, Randomness], None]
"""Changes tables and records within a transaction that is open; header, manifest and format are not its business."""

steps: dict[int, Step] = {}
"""By the format that a step begins with; it ends with the next one."""


def upgrade(path: Path, header: schema.Header, envelope: Envelope, randomness: Randomness) -> Path | None:
    """Brings a store, verified and with its lock held, to the present format; gives where the copy of before lies.

    The data key stays wrapped as it is, so that the key source is asked for nothing and a recovery code stays good.
    Raises StoreError and its kinds; then the store is of the format that the last finished step made.
    """
    begun, sealed = header.format, header.rows["manifest"]
    missing = [number for number in range(begun, schema.format_version) if number not in steps]
    if missing:
        raise StoreFormat(f"the cache is of the unknown format {begun}", hint=reset_hint)
    with reporting("the cache can't be brought to this hublet's format"):
        aside = keep_aside(path)
        with closing(schema.connect(path, writable=True)) as connection:
            for number in range(begun, schema.format_version):
                sealed = _step(connection, number, sealed, envelope, randomness)
    log.warning(
        "the cache was brought from format %d to %d; a copy from before is in %s", begun, schema.format_version, aside
    )
    return aside


def _step(
    connection: sqlite3.Connection, number: int, before: bytes, envelope: Envelope, randomness: Randomness
) -> bytes:
    """One step; the sealed manifest that it leaves."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (found,) = connection.execute("SELECT value FROM header WHERE name = 'manifest'").fetchone()
        if not hmac.compare_digest(found, before):
            raise StoreCorrupt("the cache was changed by another program meanwhile", hint="start hublet again")
        steps[number](connection, envelope, randomness)
        marks = {id: mark_of(sealed) for id, sealed in connection.execute("SELECT id, sealed FROM records")}
        generation = Manifest.open(envelope, before, number).generation + 1
        after = Manifest.of(generation, marks).seal(envelope, randomness(salt_size), number + 1)
        as_text = str(number).encode(), str(number + 1).encode()
        # What the data key's wrapping is bound to goes on saying what it said.
        connection.execute("INSERT OR IGNORE INTO header VALUES (?, ?)", (schema.wrapped_format, as_text[0]))
        connection.execute("UPDATE header SET value = ? WHERE name = 'format'", (as_text[1],))
        connection.execute("UPDATE header SET value = ? WHERE name = 'manifest'", (after,))
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return after
