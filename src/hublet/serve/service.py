"""What the API and the admin door share: the account, its cache, the local tokens, and why nothing is served."""

from __future__ import annotations

import asyncio
import hmac
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import field
from pathlib import Path
from typing import Protocol

from hublet.config.loading import Config
from hublet.config.managed import MANAGED_FILE, Managed, load_managed
from hublet.core.account import Account, origin_of
from hublet.core.address import folder_of
from hublet.core.errors import HubletError, StoreCorrupt, StoreFormat
from hublet.core.locking import is_restored
from hublet.core.pace import Pace, Surroundings, pace_in
from hublet.core.state import Change
from hublet.core.values import dataclass
from hublet.door import tokens as local_tokens
from hublet.door.application import Counters
from hublet.door.tokens import Token
from hublet.keys.asking import Asker
from hublet.passes.sync import Sync
from hublet.serve.auditing import Audit
from hublet.serve.events import Events
from hublet.serve.overrides import Overrides
from hublet.serve.tally import Tally
from hublet.store.archive import Archive
from hublet.store.failures import reset_hint


class Following(Protocol):
    """Files in a person's folder that follow the cache (`serve.exporter.Exporter`). `at` is when they were last
    written, `problem` why they can't be, `kept` which of them the person has edited."""

    at: float | None
    problem: str
    kept: tuple[str, ...]

    def changed(self, changes: tuple[Change, ...]) -> None: ...

    def soon(self) -> None: ...

    async def close(self, *, abandon: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why nothing can be served, and what the user can do about it."""

    reason: str
    hint: str = ""


def unavailable_by(error: HubletError) -> Unavailable:
    """Nothing can be served because opening the cache ended with this error."""
    damaged = isinstance(error, StoreCorrupt | StoreFormat)
    return Unavailable(error.message, error.hint or (reset_hint if damaged else ""))


async def _nothing(_: bool) -> None:
    return None


@dataclass(slots=True)
class Service:
    """The state that the doors of a daemon, or one command, work with. Belongs to one event loop.

    `sync` and `archive` are None while the cache is not open; `unavailable` then says why, or is None before the first
    try. `counters` counts refusals (`refused:RULE`), pass-through (`passed-through`) and clients that sent another
    account's key (`other-key`); `tally` counts answers and passes. `lost_records` is how many records could not be
    read when the store was opened.
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
    door: Counters = field(default_factory=Counters)
    """What the HTTP server on the port has counted. They go on when the port changes."""
    events: Events = field(init=False)
    look: Callable[[], None] = lambda: None
    """Called by the heartbeat: tells events of what time alone has changed, such as that something is stale."""
    started_at: float = 0.0
    next_pass_at: float | None = None
    surroundings: Surroundings = field(default_factory=Surroundings)
    lost_records: int = 0
    audit: Audit | None = None
    overrides: Overrides | None = None
    exporter: Following | None = None
    managed_file: Path = MANAGED_FILE
    managed_owner: int = 0
    config_problems: tuple[str, ...] = ()
    """Why the config file was refused when it was last read, a line for each problem. The running config is older."""
    config_pending: tuple[str, ...] = ()
    """The changes of the config file that take effect after a restart, a line each."""
    proof_key: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    """Random for each process: `proof` shows that an answer comes from the process that has it."""
    on_login: list[Callable[[], None]] = field(default_factory=list)
    """Called after another key was stored."""
    on_open: list[Callable[[], None]] = field(default_factory=list)
    """Called when a store has been opened and is served."""
    asker: Asker = field(default_factory=Asker)
    on_let_go: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """Called before the store is shut to be forgotten or replaced by a copy: end what works with it."""
    on_forgotten: list[Callable[[], None]] = field(default_factory=list)
    """Called when the cache is being forgotten and nothing works with it any more: drop what came from it."""
    forgotten: bool = False
    """Whether the cache was forgotten, so that only a login makes another one."""
    busy: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    """Held while the store is opened, checked, copied, repaired, replaced or forgotten, or gets another key."""
    reopen: Callable[[bool], Awaitable[None]] = _nothing
    """Try again to open a store that could not be opened, without asking anybody for anything. With False only when
    something may have changed since the last try."""
    take: Callable[[Archive], None] = lambda _: None
    """Serve from this archive: one that could not be opened before, or the one in use after its key was replaced."""

    _changing_tokens: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)
    _token_changes: set[asyncio.Task[None]] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        self.events = Events(self.clock)

    @property
    def watched(self) -> bool:
        """Whether somebody waits for news: somebody listens to the events (the page, a program), or files are exported,
        whose readers send no request that could start a pass."""
        return len(self.events) > 0 or self.config.export.directory is not None

    @property
    def machine_pace(self) -> Pace:
        """The pace of passes that battery and connection allow, as the log and the status tell it."""
        return pace_in(self.surroundings, self.config.sync.on_battery)

    @property
    def pace(self) -> Pace:
        """The pace of passes while the Hub answers: `machine_pace`, or `sync.unasked` where that is slower and
        nobody waits for news."""
        sync = self.config.sync
        return pace_in(self.surroundings, sync.on_battery, sync.unasked, watched=self.watched)

    @property
    def honoured_tokens(self) -> tuple[Token, ...]:
        """The local tokens that are accepted now: none while an older copy of the store that was put back is not
        accepted by the user, since a token that was revoked may be in it again."""
        return () if self.sync is not None and is_restored(self.sync.state.ledger) else self.tokens

    @property
    def managed(self) -> Managed:
        """What this machine's administrator has set (managed.yaml), read anew each time. Raises ConfigError."""
        return load_managed(self.managed_file, owner=self.managed_owner)

    def require_handing_over(self) -> None:
        """Raises HubletError where the administrator does not allow exports and bundles, ConfigError as `managed`."""
        managed = self.managed
        if not managed.export:
            raise HubletError(f"handing over files is not allowed on this machine: {managed.file} says so")

    def opened(self) -> Sync:
        """The Sync of the open cache, whose `archive` is set then as well. Raises HubletError, which says why it is not
        open, when it is not."""
        if self.sync is None:
            why = self.unavailable
            raise HubletError(why.reason if why else "hublet is starting", hint=why.hint if why else "try again")
        return self.sync

    async def let_go(self, why: Unavailable) -> None:
        """Stop serving from the store and shut it, because it is to be forgotten or replaced. Whoever asks from now on
        is told `why`."""
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
            await exporter.close(abandon=True)
        if archive is not None:
            await asyncio.to_thread(archive.close)

    def _drop(self) -> None:
        """Remove from memory what came from the store, except what `let_go` still has to end."""
        self.sync = self.archive = self.account = self.overrides = self.next_pass_at = None
        self.tokens, self.lost_records, self.look = (), 0, lambda: None
        self.on_login.clear()
        self.events.clear()
        self.tally.last_error = None
        self.asker.forget()

    async def close(self) -> None:
        """Wait until nothing works with the store any more, then shut it: the daemon stops, or a command is done."""
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
        """HMAC-SHA256 of a random word under this process's own key, in hex. The API and the admin socket give the same
        answer, so a command that asks both knows that it is this process that listens on the port."""
        return hmac.digest(self.proof_key, nonce.encode(), "sha256").hex()

    async def keep_account(self, account: Account) -> None:
        """Store the account's key, sealed together with its Hub's origin, and use it from now on. Raises StoreError;
        then nothing has changed.

        If hub.url gets another origin meanwhile, the key is in the store only. If the store is forgotten or replaced
        meanwhile, nothing of it comes back into memory.
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
        """Store the local tokens that `change` makes of those before, and accept these from now on. Raises StoreError,
        and what `change` raises; then nothing has changed.

        Changes wait for each other: one that is made from tokens that are being replaced would bring back a revoked
        one. For the same reason a change that has begun goes on when the client that wanted it has gone.
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
