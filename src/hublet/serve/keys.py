"""What `hublet keys` does: show where the cache's key is, move it, replace it, make a recovery code for it.

Every change of key takes the same steps, and a crash at any of them leaves a cache that opens by itself
(keys/source.py):

    stage     a new key-encryption key, kept by the source that is to have it
    rekey     a new data key, every record sealed anew, the header: one transaction
    promote   the new key takes the old one's place; a source that is left forgets the old key
    take      what is served gets new icon names and entity tags, which are made with the data key

A copy of the cache from before still opens with its old key, and with no later one.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from hublet.core.envelope import Key, key_size
from hublet.core.errors import HubletError, KeySourceError, StoreError
from hublet.core.recovery import code_of, key_of
from hublet.core.secretstr import SecretStr
from hublet.core.values import dataclass
from hublet.keys import source_names, source_of
from hublet.keys.source import KeySource
from hublet.serve.keysource import named_source
from hublet.serve.service import Service
from hublet.store.archive import Archive
from hublet.store.schema import Header
from hublet.store.sealed import Store
from hublet.store.unlocking import escrow_made_at, fits, peek

log = logging.getLogger("hublet.keys")


@dataclass(frozen=True, slots=True)
class _Changed:
    archive: Archive
    said: dict[str, object]


class Keys:
    """The routes below /keys. The work is done in a thread, one change at a time, and requests are answered meanwhile.
    Each raises HubletError."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tasks: set[asyncio.Task[dict[str, object]]] = set()

    async def show(self) -> dict[str, object]:
        """Where the key is and since when, whether there is a recovery code, and whether an old key was left behind. No
        key is in it."""
        return await asyncio.to_thread(self._show)

    async def rotate(self, given: SecretStr | None, new: SecretStr | None) -> dict[str, object]:
        """A new key at the same source. With a passphrase, `given` is the present one and `new` the next one."""
        return await self._change(lambda: self._rekeyed(None, given, new))

    async def move(self, name: str, given: SecretStr | None, new: SecretStr | None) -> dict[str, object]:
        """A new key at the source of this name."""
        if name not in source_names:
            raise HubletError(f"no key source is called {name}", hint="is another version of hublet running?")
        return await self._change(lambda: self._rekeyed(name, given, new))

    async def escrow(self, given: SecretStr | None) -> dict[str, object]:
        """Make a recovery code, which is told here and never again. One that was made before is void."""
        return await self._change(lambda: self._escrowed(given), same_key=True)

    async def recover(self, code: str, new: SecretStr | None) -> dict[str, object]:
        """Open the cache with its recovery code, where its key is lost, and give it a new key at the configured
        source."""
        return await self._change(lambda: self._recovered(code, new))

    def _show(self) -> dict[str, object]:
        service = self._service
        places, configured = service.config.locate(), service.config.keys.source
        header = service.archive.header if service.archive is not None else peek(places.data)
        value: dict[str, object] = {"open": service.archive is not None, "configured": configured, "source": None}
        if header is None:
            return value
        known, at = header.source in source_names, escrow_made_at(header)
        escrow: Literal["none", "void", "present"] = "none" if at is None else "present" if at else "void"
        left, sure = self._left_behind(header)
        counted, problem = service.archive.counting if service.archive is not None else (None, "")
        return value | {
            "source": header.source if known else "unknown",
            "where": self._source(header).describe() if known else None,
            "since": header.since,
            "escrow": escrow,
            "escrow_since": at or None,
            "left_behind": left,
            "left_behind_sure": sure,
            "counted": counted if counted is not None or not known else self._source(header).counting is not None,
            "count_problem": problem,
        }

    def _left_behind(self, header: Header) -> tuple[str | None, bool]:
        """Where an earlier key was left behind, None for nowhere; and whether that is certain: a keyring may refuse to
        say."""
        key_file = self._service.config.locate().key_file
        if header.source in source_names and header.source != "file" and os.path.lexists(key_file):
            return str(key_file), True
        if header.former_account is None:
            return None, True
        from hublet.keys.keyring import KeyringSource

        former = KeyringSource({"account": header.former_account})
        try:
            return (former.describe() if former.left() else None), True
        except KeySourceError:
            return former.describe(), False

    async def _change(self, work: Callable[[], _Changed], *, same_key: bool = False) -> dict[str, object]:
        async def run() -> dict[str, object]:
            async with self._service.busy:
                changed = await asyncio.to_thread(work)
                service = self._service
                serving = changed.archive is service.archive
                try:
                    if not same_key and (serving or changed.archive.header.source == service.config.keys.source):
                        service.take(changed.archive)
                finally:
                    if changed.archive is not service.archive:
                        changed.archive.close()
                return changed.said

        # A task of its own: a command that is broken off must not stop it between the new key and what is served.
        task = asyncio.create_task(run(), name="key change")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    # These run in a thread

    def _rekeyed(self, target: str | None, given: SecretStr | None, new: SecretStr | None) -> _Changed:
        archive, opened = self._opened(given)
        try:
            header = archive.header
            old = self._source(header, given)
            if target is None:
                _settle(header, old)  # proves the given passphrase as well
                following = old.successor()
            elif target == header.source and target != "passphrase":
                try:
                    _settle(header, old)
                except KeySourceError as error:
                    log.warning("the key in force can't be used, a new one takes its place: %s", error.message)
                following = old.successor()
            else:
                following = self._fresh(target, new)
                _require_empty(following)
            return _Changed(archive, self._replaced(archive, old, following))
        except BaseException:
            if opened:
                archive.close()
            raise

    def _escrowed(self, given: SecretStr | None) -> _Changed:
        archive, opened = self._opened(given)
        try:
            code = Key(os.urandom(key_size))
            archive.escrow(code, self._service.clock())
        except BaseException:
            if opened:
                archive.close()
            raise
        log.info("a recovery code was made")
        return _Changed(archive, {"code": code_of(code)})

    def _recovered(self, code: str, new: SecretStr | None) -> _Changed:
        service = self._service
        if service.archive is not None:
            raise KeySourceError(
                "the cache is open: nothing has to be recovered",
                hint=f"`hublet keys move {service.config.keys.source}` makes a new key where one was lost",
            )
        key = key_of(code)
        archive = Archive(Store.recover(service.config.locate().data, key))
        try:
            following = self._fresh(service.config.keys.source, new)
            _require_empty(following)
            log.info("the cache was opened with its recovery code")
            return _Changed(archive, self._replaced(archive, None, following))
        except BaseException:
            archive.close()
            raise

    def _replaced(self, archive: Archive, old: KeySource | None, following: KeySource) -> dict[str, object]:
        """The steps of this module's docstring, up to `promote`."""
        had_escrow = bool(escrow_made_at(archive.header))
        kek = following.stage(Key(os.urandom(key_size)))
        lost = archive.rekey(following, kek, self._service.clock())
        problems = []
        try:
            following.promote()
            if old is not None and old.name != following.name:
                old.discard()
        except KeySourceError as error:
            where = f"{old.describe()}, " if old is not None and old.name != following.name else ""
            problems.append(f"the old key is still there, {where}of no use but for old copies: {error.message}")
        log.info("the cache has a new key: %s", following.describe())
        configured = self._service.config.keys.source
        return {
            "source": following.name,
            "where": following.describe(),
            "was": old.name if old is not None else None,
            "configured": configured,
            "lost_records": lost,
            "escrow_void": had_escrow,
            "problems": problems,
            "aside": _aside(self._service.config.locate().data),
        }

    def _opened(self, given: SecretStr | None) -> tuple[Archive, bool]:
        """The archive in use, or the store opened with the source that its header names; and whether it was opened
        here, so that the caller has to close it."""
        service = self._service
        if service.archive is not None:
            return service.archive, False
        data = service.config.locate().data
        header = peek(data)
        if header is None:
            raise StoreError(f"there is no cache in {data}", hint="`hublet login` makes it")
        if header.source not in source_names:
            raise KeySourceError("the cache names a key source that this hublet does not know", hint="use a newer one")
        return Archive(Store.open(data, self._source(header, given))), True

    def _source(self, header: Header, given: SecretStr | None = None) -> KeySource:
        return named_source(self._service.config, header, asker=self._service.asker.giving(given))

    def _fresh(self, name: str, new: SecretStr | None) -> KeySource:
        service = self._service
        return source_of(name, service.config.locate().key_file, asker=service.asker.giving(new))


def _settle(header: Header, source: KeySource) -> None:
    """Make sure that the source's own key is the one in force, before the next is staged: promote one that is in force
    but still staged, since staging would overwrite it. Raises KeySourceError when the source has neither."""
    kek = source.load()
    if kek is not None and fits(header, kek):
        return
    staged = source.staged()
    if staged is None or not fits(header, staged):
        raise KeySourceError(
            f"{source.describe()} no longer holds this cache's key",
            hint=f"`hublet keys move {source.name}` makes a new one, while hublet has the cache open",
        )
    source.promote()


def _require_empty(source: KeySource) -> None:
    """Raises KeySourceError when the source holds a key already: it is another cache's or an old one, and not to be
    overwritten."""
    if source.name != "credential" and source.load() is not None:
        raise KeySourceError(
            f"{source.describe()} holds a key already", hint="move it away first, if nothing needs it any more"
        )


def _aside(data: Path) -> int:
    """How many caches were moved aside; they are sealed under earlier keys."""
    return sum(1 for _ in data.glob("aside-*"))
