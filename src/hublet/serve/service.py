"""What the three doors share: the account, its cache, the local tokens, and why there may be nothing to serve."""

from __future__ import annotations

import asyncio
import hmac
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from hublet.config import Config
from hublet.core.account import Account, origin_of
from hublet.core.address import folder_of
from hublet.core.errors import HubletError, StoreCorrupt, StoreFormat
from hublet.core.locking import is_restored
from hublet.core.pace import Pace, Surroundings, pace_in
from hublet.core.values import dataclass
from hublet.door import tokens as local_tokens
from hublet.door.tokens import Token
from hublet.keys.asking import Asker
from hublet.managed import MANAGED_FILE, Managed, load_managed
from hublet.serve.auditing import Audit
from hublet.serve.events import Events
from hublet.serve.overrides import Overrides
from hublet.serve.tally import Tally
from hublet.store.archive import Archive
from hublet.store.failures import reset_hint
from hublet.sync import Sync

if TYPE_CHECKING:
    from hublet.serve.exporter import Exporter


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why nothing can be served, and what to do."""

    reason: str
    hint: str = ""


def unavailable_by(error: HubletError) -> Unavailable:
    damaged = isinstance(error, StoreCorrupt | StoreFormat)
    return Unavailable(error.message, error.hint or (reset_hint if damaged else ""))


async def _nothing(_: bool) -> None:
    return None


@dataclass(slots=True)
class Service:
    """The daemon's state as its doors see it. Belongs to one event loop.

    `sync` and `archive` are None while the store can't be opened; `unavailable` then says why. `counters` count
    refusals by rule and what else there is no better place for; `tally` has what is counted of answers.
    """

    config: Config
    clock: Callable[[], float] = time.time
    sync: Sync | None = None
    archive: Archive | None = None
    unavailable: Unavailable | None = None
    account: Account | None = None
    tokens: tuple[Token, ...] = ()
    port: int = 0
    counters: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)
    events: Events = field(init=False)
    look: Callable[[], None] = lambda: None
    """Tell of what time alone has changed, such as that something is stale."""
    started_at: float = 0.0
    next_pass_at: float | None = None
    surroundings: Surroundings = field(default_factory=Surroundings)
    lost_records: int = 0
    audit: Audit | None = None
    overrides: Overrides | None = None
    exporter: Exporter | None = None
    managed_file: Path = MANAGED_FILE
    managed_owner: int = 0
    config_problems: tuple[str, ...] = ()
    """Why the config file as it is now was refused, a line each; the running config is an older one."""
    config_pending: tuple[str, ...] = ()
    """What of the config file takes effect after a restart, a line each."""
    proof_key: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    on_login: list[Callable[[], None]] = field(default_factory=list)
    on_open: list[Callable[[], None]] = field(default_factory=list)
    asker: Asker = field(default_factory=Asker)
    on_let_go: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """Called before the store is let go of, to be forgotten or replaced by a copy: end what works with it."""
    on_forgotten: list[Callable[[], None]] = field(default_factory=list)
    """Called when the cache is being forgotten and nothing works with it any more: drop what came from it."""
    forgotten: bool = False
    """Whether the cache was forgotten, so that only a login makes another one."""
    busy: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    """Held while the store is opened, gets another key or is forgotten: one at a time."""
    reopen: Callable[[bool], Awaitable[None]] = _nothing
    """Try again to open a store that could not be opened; it asks nobody for anything. True: also when nothing seems to
    have changed."""
    take: Callable[[Archive], None] = lambda _: None
    """Serve from this archive: one that could not be opened before, or the one in use after its key was replaced."""

    _changing_tokens: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)
    _token_changes: set[asyncio.Task[None]] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        self.events = Events(self.clock)

    @property
    def watched(self) -> bool:
        """Whether something waits for news: who listens to events (the page, a program), and exported files, which are
        read without a question."""
        return len(self.events) > 0 or self.config.export.directory is not None

    @property
    def machine_pace(self) -> Pace:
        """The pace that battery and connection allow; the log and the status tell of it."""
        return pace_in(self.surroundings, self.config.sync.on_battery)

    @property
    def pace(self) -> Pace:
        """The pace of the passes while the Hub answers."""
        sync = self.config.sync
        return pace_in(self.surroundings, sync.on_battery, sync.unasked, watched=self.watched)

    @property
    def honoured_tokens(self) -> tuple[Token, ...]:
        """The local tokens that let somebody in: none of an older store that was put back, where a revoked one may be
        among them again."""
        return () if self.sync is not None and is_restored(self.sync.state.ledger) else self.tokens

    @property
    def managed(self) -> Managed:
        """What this machine's administrator has settled, read anew. Raises ConfigError."""
        return load_managed(self.managed_file, owner=self.managed_owner)

    def require_handing_over(self) -> None:
        """Raises HubletError where files may not be handed over on this machine, and ConfigError as `managed` does."""
        managed = self.managed
        if not managed.export:
            raise HubletError(f"handing over files is not allowed on this machine: {managed.file} says so")

    def opened(self) -> Sync:
        """The Sync, while the cache is open; `archive` is there as well then. Raises HubletError that says why not."""
        if self.sync is None:
            why = self.unavailable
            raise HubletError(why.reason if why else "hublet is starting", hint=why.hint if why else "try again")
        return self.sync

    async def let_go(self, why: Unavailable) -> None:
        """Serve nothing of the store any more, for this reason, and shut it: it is to be forgotten or replaced."""
        sync, archive, overrides, exporter = self.sync, self.archive, self.overrides, self.exporter
        self.unavailable = why
        self._drop()
        for listener in self.on_let_go:
            await listener()
        if overrides is not None:
            await overrides.close()
        if sync is not None:
            await sync.end()
        if exporter is not None:
            await exporter.close()
        if archive is not None:
            await asyncio.to_thread(archive.close)

    def _drop(self) -> None:
        """Let go of everything in memory that came from the store."""
        self.sync = self.archive = self.account = self.overrides = self.next_pass_at = None
        self.tokens, self.lost_records, self.look = (), 0, lambda: None
        self.on_login.clear()
        self.events.clear()
        self.tally.last_error = None
        self.asker.forget()

    async def close(self) -> None:
        """Let what works with the store come to its end, then shut it: the daemon stops, or a command is done."""
        if self.overrides is not None:
            await self.overrides.close()
        if self.sync is not None:
            if self.sync.saving.due:
                await self.sync.save_again()
            await self.sync.close()
        if self.exporter is not None:
            await self.exporter.close()  # after Sync, whose last change may have begun a writing
        if self.audit is not None:
            await self.audit.close()
        if self.archive is not None:
            self.archive.close()

    @property
    def has_hub(self) -> bool:
        """Whether there is a Hub to ask: an account is logged in, or the Hub is a folder, which takes no key."""
        url = self.config.hub.url
        return folder_of(url) is not None or (self.account is not None and self.account.key_for(url) is not None)

    def proof(self, nonce: str) -> str:
        """What only this process answers to a random word, at every one of its doors: so a command can tell who listens
        on the port."""
        return hmac.digest(self.proof_key, nonce.encode(), "sha256").hex()

    async def keep_account(self, account: Account) -> None:
        """Seal the key with its origin and use it from now on. Raises StoreError; then nothing has changed.

        While it is sealed, hub.url may get another origin: the key then stays in the store only. Or the store may be
        forgotten: nothing of it may come back into memory.
        """
        archive = self.archive
        assert archive is not None
        await asyncio.to_thread(archive.keep, "account", account.to_plain())
        if self.archive is not archive or account.origin != origin_of(self.config.hub.url):
            return
        self.account = account
        for listener in self.on_login:
            listener()

    async def change_tokens(self, change: Callable[[tuple[Token, ...]], tuple[Token, ...]]) -> None:
        """Seal what `change` makes of the local tokens, and honour those from now on. Raises StoreError, and whatever
        `change` raises; then nothing has changed.

        One change waits for the other: made from tokens that are being replaced, it would bring a revoked one back. For
        the same reason a change that has begun goes to its end, also when the client that wanted it has gone.
        """
        task = asyncio.create_task(self._change_tokens(change), name="tokens")
        self._token_changes.add(task)
        task.add_done_callback(self._token_changes.discard)
        await asyncio.shield(task)

    async def _change_tokens(self, change: Callable[[tuple[Token, ...]], tuple[Token, ...]]) -> None:
        async with self._changing_tokens:
            tokens, archive = change(self.tokens), self.archive
            assert archive is not None
            await asyncio.to_thread(archive.keep, "tokens", [local_tokens.to_plain(token) for token in tokens])
            if self.archive is archive:  # else it was forgotten meanwhile
                self.tokens = tokens
