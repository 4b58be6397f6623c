"""Trying again to open a cache that could not be opened: by now the keyring may be unlocked, or the key file be back.

Nobody is asked for anything, because a prompt that comes again and again is worse than a cache that is shut. What can't
have changed is not tried: a wrong passphrase is tried again only when its file has changed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from hublet.core.errors import HubletError, StoreLocked
from hublet.serve.keysource import open_archive
from hublet.serve.service import Service, unavailable_by

log = logging.getLogger("hublet")

FIRST, LONGEST = 30.0, 600.0
"""Seconds between two tries of the heartbeat: doubled each time, from the first to the longest."""


class Reopening:
    """Belongs to one event loop. The heartbeat calls `look`; a request at the admin door that would have to be refused
    calls `now` first."""

    def __init__(self, service: Service, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._service, self._monotonic = service, monotonic
        self._wait, self._last = FIRST, monotonic()
        self._tried = self._signature()

    @property
    def due(self) -> bool:
        """Whether it is time for another try."""
        return self._shut and self._monotonic() - self._last >= self._wait

    async def look(self) -> None:
        """Try when it is time to, and wait longer for the next."""
        if self.due:
            self._wait = min(LONGEST, 2 * self._wait)
            await self.now()

    async def now(self, always: bool = False) -> None:
        """Try to open the cache if it is shut, and either something may have changed or it is to be tried `always`.

        Raises nothing: the service's `unavailable` says how it went.
        """
        if not self._shut or self._service.busy.locked():
            return
        async with self._service.busy:
            if not self._shut or not (self._may_differ() or always):
                return
            self._last = self._monotonic()
            await self._open()

    @property
    def _shut(self) -> bool:
        service = self._service
        return service.archive is None and service.unavailable is not None and not service.forgotten

    async def _open(self) -> None:
        service = self._service
        try:
            archive = await asyncio.to_thread(open_archive, service.config, service.asker, quiet=True)
            try:
                service.take(archive)
            except BaseException:
                archive.close()
                raise
        except StoreLocked:
            return  # a command has it open for a moment
        except HubletError as error:
            before, service.unavailable = service.unavailable, unavailable_by(error)
            if before is None or before.reason != service.unavailable.reason:
                log.error("the cache still can't be opened: %s", error.message)
            return
        log.info("the cache is open")
        if service.overrides is not None:
            await service.overrides.refresh()

    def _may_differ(self) -> bool:
        """Whether another try may end otherwise. A passphrase comes through a descriptor once, and is asked for at a
        terminal at the start only; a file is read again only when it has changed, since scrypt takes time."""
        keys = self._service.config.keys
        if keys.source != "passphrase":
            return True
        if keys.passphrase_file is None:
            return False
        before, self._tried = self._tried, self._signature()
        return self._tried != before

    def _signature(self) -> tuple[int, ...] | None:
        file: Path | None = self._service.config.keys.passphrase_file
        try:
            info = file.stat() if file is not None else None
        except OSError:
            return None
        return (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns) if info is not None else None
