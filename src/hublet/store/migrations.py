"""How a store of an older format is brought to the present one: one step for each format, each in one transaction.

There is only format 1 so far, so `steps` is empty and `upgrade` is never called; the tests add formats of their own to
prove that it works.

`sealed.Store` verifies the whole store before it calls `upgrade`, which copies the store into a folder `aside-N` of the
data directory first: an older hublet can open that copy. A crash leaves the store in the format from before a step or
in the one after it, and the next start goes on from there.

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
"""Changes tables and records within a transaction that is open. It leaves alone the header's rows: `_step` writes the
manifest and the format."""

steps: dict[int, Step] = {}
"""By format: the step from format N to format N + 1 is at N. Empty while there is only format 1."""


def upgrade(path: Path, header: schema.Header, envelope: Envelope, randomness: Randomness) -> Path | None:
    """Bring a store to the present format. The caller has verified it and holds its lock. Returns the folder with the
    copy from before.

    The data key stays wrapped as it is, so the key source is not asked and a recovery code stays good. Raises
    StoreError or one of its subclasses; then the store has the format that the last finished step made.
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
    """Bring the store from format `number` to the next one; `before` is the sealed manifest, and the new one is
    returned. Raises StoreCorrupt when the file has another manifest by now."""
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
        # The data key's wrapping is bound to the format that it was made in, which the header keeps in this row.
        connection.execute("INSERT OR IGNORE INTO header VALUES (?, ?)", (schema.wrapped_format, as_text[0]))
        connection.execute("UPDATE header SET value = ? WHERE name = 'format'", (as_text[1],))
        connection.execute("UPDATE header SET value = ? WHERE name = 'manifest'", (after,))
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return after
