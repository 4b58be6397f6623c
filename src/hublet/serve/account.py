"""What the user says of the account: log in, lock, unlock, and agree with an older copy of the cache."""

from __future__ import annotations

import logging
from dataclasses import replace

from hublet.core.account import Account, check_key, origin_of
from hublet.core.address import folder_of
from hublet.core.errors import HubletError
from hublet.core.locking import is_restored
from hublet.serve.service import Service

log = logging.getLogger("hublet.admin")

OLDER = "the cache is an older copy that was put back"


class Accounts:
    """The routes /login, /lock, /unlock and /store/accept. Each raises HubletError."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def login(self, key: str, *, fresh: bool) -> dict[str, object]:
        """Keep a key for the configured Hub; with `fresh`, drop what is known of the account before. After a forgotten
        cache this makes a new one."""
        service = self._service
        if service.forgotten:
            async with service.busy:  # wait until forgetting has come to its end
                service.forgotten = False
        await service.reopen(True)
        sync = service.opened()
        if folder_of(service.config.hub.url) is not None:
            raise HubletError("the Hub is a folder: it takes no key", hint="hublet syncs with it by itself")
        account = Account(check_key(key), origin_of(service.config.hub.url))
        before = sync.plan
        keyless = replace(before, hub=replace(before.hub, key=None))
        try:
            if fresh:
                # Nothing is asked with the old key meanwhile: its answers would become the new account's.
                sync.configure(keyless, sync.terms)
                await sync.start_over()
            await service.keep_account(account)
        except BaseException:
            if sync.plan is keyless:  # else another config has come, or the cache was forgotten
                sync.configure(before, sync.terms)
            raise
        log.info("logged in to %s", account.origin)
        return {"origin": account.origin}

    async def lock(self) -> dict[str, object]:
        """Stop serving secret values now."""
        await self._service.opened().lock()
        return {}

    async def unlock(self) -> dict[str, object]:
        """Serve secret values again on the user's word. Where the administrator wants the Hub's word, only a lock that
        the user asked for can be lifted so, and it ends with the next answer of the Hub that takes the key."""
        service, managed = self._service, self._service.managed
        lock = service.sync.state.ledger.lock if service.sync is not None else None
        if not managed.unlock_offline and (lock is None or lock.why != "asked"):
            raise HubletError(
                f"unlocking without the Hub's word is not allowed on this machine: {managed.file} says so",
                hint="`hublet unlock` asks the Hub",
            )
        sync = service.opened()
        if is_restored(sync.state.ledger):
            raise HubletError(OLDER, hint="`hublet store accept`, if it was you who put it back")
        when = "" if managed.unlock_offline else ", as soon as the Hub takes the key"
        log.warning("unlocked on the user's word%s", when)
        await sync.unlock(hub_must_agree=not managed.unlock_offline)
        return {"locked": sync.snapshot.locked}

    async def accept_older(self) -> dict[str, object]:
        """Serve from an older copy of the cache that was put back as from any other."""
        sync, managed = self._service.opened(), self._service.managed
        if not is_restored(sync.state.ledger):
            raise HubletError("the cache is no older copy that was put back", hint="nothing has to be accepted")
        log.warning("the older copy of the cache that was put back is accepted on the user's word")
        await sync.accept_older(hub_must_agree=not managed.unlock_offline)
        return {"locked": sync.snapshot.locked}
