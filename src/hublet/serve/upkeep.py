"""What `hublet store` does: check the whole cache, repair it, back it up, put a backup back.

A backup goes through a file in the runtime directory, because a daemon in its sandbox may not write where the user
wants it: the command moves it from there, and to there before a restore.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable
from contextlib import closing
from pathlib import Path

from hublet.config.loading import Config
from hublet.core.envelope import Envelope
from hublet.core.errors import StoreError
from hublet.keys.source import KeySource
from hublet.serve.keysource import configured_source
from hublet.serve.service import Service, Unavailable
from hublet.store import backup, schema
from hublet.store.archive import makes_sense, without_validators
from hublet.store.check import Found, check, repair
from hublet.store.failures import reporting
from hublet.store.lock import Lock
from hublet.store.unlocking import peek, unlocked

log = logging.getLogger("hublet.store")


class Upkeep:
    """The routes /store/check, repair, backup and restore. One at a time, and none while the key changes. Each raises
    HubletError."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tasks: set[asyncio.Task[dict[str, object]]] = set()

    async def check(self) -> dict[str, object]:
        """Read the whole cache and say what is wrong. Changes nothing."""
        return await self._alone(asyncio.to_thread(self._check))

    async def repair(self, *, accept_missing: bool) -> dict[str, object]:
        """Make the cache whole again without the records that can't be read; a copy of the one before is put aside.

        `accept_missing` allows it also where nothing proves that no record is missing."""
        return await self._lasting(self._repair(accept_missing))

    async def back_up(self) -> dict[str, object]:
        """Copy the cache, sealed as it is, into the file that the command takes it from."""
        return await self._alone(asyncio.to_thread(self._back_up))

    async def restore(self) -> dict[str, object]:
        """Put the backup that the command has brought in the cache's place; the cache before is put aside."""
        return await self._lasting(self._restore())

    async def _alone(self, work: Awaitable[dict[str, object]]) -> dict[str, object]:
        async with self._service.busy:
            return await work

    async def _lasting(self, work: Awaitable[dict[str, object]]) -> dict[str, object]:
        """Do the work as a task of its own, so that a command that is broken off does not stop it half-way."""

        async def run() -> dict[str, object]:
            said = await self._alone(work)
            await self._service.reopen(True)
            return said

        task = asyncio.create_task(run(), name="store")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _repair(self, accept_missing: bool) -> dict[str, object]:
        service = self._service
        if service.archive is None or service.sync is None:
            return await asyncio.to_thread(self._repair_shut, accept_missing)
        found = await asyncio.to_thread(self._look)
        if found.fine:
            return _repaired(len(found.rows), 0, "", None)
        aside = await asyncio.to_thread(service.archive.mend, service.sync.state)
        service.lost_records = 0
        after = await asyncio.to_thread(self._look)
        log.warning("the cache was repaired; a copy of before is in %s", aside)
        return _repaired(len(after.rows), found.unreadable, "", aside)

    async def _restore(self) -> dict[str, object]:
        service = self._service
        copy = place_of_copy(service.config, "restore")
        records = await asyncio.to_thread(backup.prove, copy, self._configured())
        await service.let_go(Unavailable("the cache is being restored", "try again"))
        aside = await asyncio.to_thread(backup.restore, service.config.locate().data, copy)
        service.forgotten = False
        log.warning("a copy of the cache was put back on the user's word; the one before is in %s", aside)
        return {"records": records, "aside": str(aside) if aside is not None else None}

    # In a thread

    def _check(self) -> dict[str, object]:
        found = self._look()
        odd = sum(not makes_sense(row) for row in found.rows)
        problems = [*found.problems, *([f"{odd} records open, and make no sense"] if odd else [])]
        return {
            "fine": found.fine and not odd,
            "format": found.format,
            "generation": found.generation,
            "records": len(found.rows),
            "unreadable": found.unreadable,
            "unproved": found.unproved,
            "problems": problems,
        }

    def _repair_shut(self, accept_missing: bool) -> dict[str, object]:
        data = self._data()
        lock = Lock.take(data)
        try:
            header, envelope, source = self._unlocked()
            at_least = (source.generation(header.store) or 0) if source.counting is not None else 0
            done = repair(
                data / schema.database_name,
                envelope,
                header,
                os.urandom,
                at_least=at_least,
                accept_missing=accept_missing,
                mended=without_validators,
            )
        finally:
            lock.release()
        if done.aside is not None:
            log.warning("the cache was repaired; a copy of before is in %s", done.aside)
        return _repaired(done.kept, done.dropped, done.unproved, done.aside)

    def _back_up(self) -> dict[str, object]:
        copy = place_of_copy(self._service.config, "backup")
        backup.back_up(self._data() / schema.database_name, copy)
        return {"copy": str(copy), "size": copy.stat().st_size}

    def _look(self) -> Found:
        data, archive = self._data(), self._service.archive
        if archive is not None:
            return check(data / schema.database_name, archive.envelope, archive.header)
        lock = Lock.take(data)
        try:
            header, envelope, _ = self._unlocked()
            return check(data / schema.database_name, envelope, header)
        finally:
            lock.release()

    def _data(self) -> Path:
        data = self._service.config.locate().data
        if not os.path.lexists(data / schema.database_name):
            raise StoreError(f"there is no cache in {data}", hint="`hublet login` makes it")
        return data

    def _unlocked(self) -> tuple[schema.Header, Envelope, KeySource]:
        """The store's header, the envelope that opens it, and the configured key source that gave the key. Raises
        KeySourceError where the header names another source."""
        header = peek(self._data())
        assert header is not None
        source = self._configured(header)
        return header, unlocked(header, source), source

    def _configured(self, header: schema.Header | None = None) -> KeySource:
        config, asker = self._service.config, self._service.asker
        return configured_source(config, header or peek_copy(place_of_copy(config, "restore")), asker=asker)


def place_of_copy(config: Config, what: str) -> Path:
    """The file that a copy goes through; `what` is `backup` or `restore`. Makes its directory."""
    runtime = config.locate().runtime
    runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    return runtime / f"{what}.sqlite3"


def peek_copy(copy: Path) -> schema.Header:
    """The header of a copy, of which nothing is proved yet. Raises StoreError."""
    with reporting("the backup can't be read"), closing(schema.connect(copy, writable=False)) as connection:
        return schema.read_header(connection)


def _repaired(kept: int, dropped: int, unproved: str, aside: Path | None) -> dict[str, object]:
    where = str(aside) if aside is not None else None
    return {"kept": kept, "dropped": dropped, "unproved": unproved, "aside": where}
