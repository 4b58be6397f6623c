"""What `hublet forget` does: first nobody can open this cache any more, then its files are removed.

    drop      everything of it in memory; from now on every request gets 503 with the reason
    end       passes and questions to the Hub; a client that waits for one gets a complete answer
    destroy   the data key, in the store and in those that were moved aside (store/destroy.py)
    discard   the key-encryption key and the count, at the key sources that the stores' headers name
    remove    the stores' files and the audit log; the first line of the next one says that it was forgotten

After a crash or an error at any step it can be done again, since what is left says what it is. The config,
`hublet point`'s own note and the service stay. So do copies elsewhere: a backup opens as long as there is a copy of its
key.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from hublet.config.loading import Config
from hublet.core.errors import HubletError, KeySourceError
from hublet.door.audit import AuditFile
from hublet.door.audit import file_name as audit_name
from hublet.keys.source import KeySource
from hublet.serve.keysource import named_source
from hublet.serve.service import Service, Unavailable
from hublet.store import destroy
from hublet.store.lock import Lock

log = logging.getLogger("hublet.forget")


def _plan(service: Service) -> dict[str, object]:
    """What would be removed, in words for people. Changes nothing. Raises StoreError."""
    places = service.config.locate()
    stores = destroy.databases(places.data)
    sources, _ = sources_of(service.config, stores)
    audit = AuditFile(places.data / audit_name).paths
    return {
        "files": [str(path) for path in (*stores, *(path for path in audit if os.path.lexists(path)))],
        "keys": [source.describe() for source in sources if source.name in ("file", "keyring")],
    }


class Forgetting:
    """The route /forget. The work is a task of its own, so a command that is broken off does not stop it half-way."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tasks: set[asyncio.Task[dict[str, object]]] = set()

    async def plan(self) -> dict[str, object]:
        """What would be removed. Raises StoreError."""
        return await asyncio.to_thread(_plan, self._service)

    async def forget(self) -> dict[str, object]:
        """Forget everything. Says whether anything was there, which keys were discarded, and what could not be removed.
        Raises StoreError, KeySourceError."""
        task = asyncio.create_task(self._forget(), name="forget")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _forget(self) -> dict[str, object]:
        service = self._service
        async with service.busy:
            await self._end()
            try:
                said = await asyncio.to_thread(erase, service.config)
            except HubletError as error:
                service.unavailable = Unavailable(
                    f"the cache is being forgotten, and that is not done yet: {error.message}",
                    "run `hublet forget` again",
                )
                raise
            keys = service.config.keys
            asks = keys.source == "passphrase" and keys.passphrase_file is None
            begin = "start hublet again, then `hublet login`" if asks else "`hublet login` begins a new one"
            service.unavailable = Unavailable("the cache was forgotten", begin)
            log.warning("the cache was forgotten")
            return said

    async def _end(self) -> None:
        service = self._service
        service.forgotten = True
        await service.let_go(Unavailable("the cache is being forgotten", "`hublet login` begins a new one"))
        for forget in service.on_forgotten:
            forget()
        if service.audit is not None:
            await service.audit.flush()  # into the file that is removed next, so that no earlier line is in the new one


def erase(config: Config) -> dict[str, object]:
    """Destroy, discard and remove; what was removed, and what could not be. The store must not be open.

    May wait for the disk and a keyring: not on an event loop. Raises StoreLocked when another process has the store,
    StoreError, KeySourceError.
    """
    data = config.locate().data
    audit = AuditFile(data / audit_name).paths
    if not data.is_dir():
        return {"found": False, "discarded": [], "left": []}
    lock = Lock.take(data)
    try:
        stores = destroy.databases(data)
        found = bool(stores) or any(os.path.lexists(path) for path in audit)
        sources, wrappings = sources_of(config, stores)
        for database, wrapping in zip(stores, wrappings, strict=True):
            destroy.destroy_key(database, wrapping)
        for source in sources:
            try:
                source.discard()
            except KeySourceError as error:
                raise KeySourceError(
                    f"nothing opens the cache any more, but {source.describe()} is still there: {error.message}",
                    hint="run `hublet forget` again when that can be removed",
                ) from None
        left = destroy.remove(data, audit)
    finally:
        lock.release()
    return {
        "found": found,
        "discarded": [source.describe() for source in sources if source.name in ("file", "keyring")],
        "credential": any(source.name == "credential" for source in sources),
        "left": [str(path) for path in left],
    }


def sources_of(config: Config, stores: list[Path]) -> tuple[list[KeySource], list[destroy.Wrapping]]:
    """The key sources that these stores were sealed with, each once, and what each store says of its key."""
    wrappings = [destroy.wrapping_of(database) for database in stores]
    found: dict[str, KeySource] = {}
    for wrapping in wrappings:
        # For a damaged header, which names no source, the configured one is the best guess.
        sources = [named_source(config, wrapping)]
        if wrapping.former_account is not None:
            from hublet.keys.keyring import KeyringSource

            sources.append(KeyringSource({"account": wrapping.former_account}))
        for source in sources:
            found[source.describe()] = source
    return list(found.values()), wrappings
