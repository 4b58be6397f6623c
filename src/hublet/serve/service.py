"""What the three doors share: the account, its cache, the local tokens, and why there may be nothing to serve."""

from __future__ import annotations

import asyncio
import hmac
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hublet.config import Config
from hublet.core.account import Account
from hublet.door.tokens import Token
from hublet.keys.asking import Asker
from hublet.managed import MANAGED_FILE
from hublet.serve.auditing import Audit
from hublet.serve.overrides import Overrides
from hublet.store.archive import Archive
from hublet.sync import Sync


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why nothing can be served, and what to do."""

    reason: str
    hint: str = ""


@dataclass(slots=True)
class Service:
    """The daemon's state as its doors see it. Belongs to one event loop.

    `sync` and `archive` are None while the store can't be opened; `unavailable` then says why. `counters` count answers
    by grade and refusals by rule.
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
    started_at: float = 0.0
    next_pass_at: float | None = None
    lost_records: int = 0
    audit: Audit | None = None
    overrides: Overrides | None = None
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
    take: Callable[[Archive], None] = lambda _: None
    """Serve from this archive: one that could not be opened before, or the one in use after its key was replaced."""

    def proof(self, nonce: str) -> str:
        """What only this process answers to a random word, at every one of its doors: so a command can tell who listens
        on the port."""
        return hmac.digest(self.proof_key, nonce.encode(), "sha256").hex()

    async def keep_account(self, account: Account) -> None:
        """Seal the key with its origin and use it from now on. Raises StoreError; then nothing has changed."""
        assert self.archive is not None
        await asyncio.to_thread(self.archive.keep, "account", account.to_plain())
        self.account = account
        for listener in self.on_login:
            listener()

    async def keep_tokens(self, tokens: tuple[Token, ...]) -> None:
        assert self.archive is not None
        await asyncio.to_thread(self.archive.keep, "tokens", [token_to_plain(token) for token in tokens])
        self.tokens = tokens


def token_to_plain(token: Token) -> dict[str, object]:
    return {
        "name": token.name,
        "scope": token.scope,
        "digest": token.digest.hex(),
        "created_at": token.created_at.timestamp(),
        "expires_at": token.expires_at.timestamp() if token.expires_at else None,
    }


def tokens_from_plain(value: object) -> tuple[Token, ...]:
    """The inverse of `token_to_plain` for the whole document; an unreadable one is no tokens."""
    found: list[Token] = []
    for item in value if isinstance(value, list) else []:
        match item:
            case {
                "name": str(name),
                "scope": ("read" | "secrets" | "admin") as scope,
                "digest": str(digest),
                "created_at": float() | int() as created_at,
                "expires_at": float() | int() | None as expires_at,
            }:
                until = datetime.fromtimestamp(expires_at, UTC) if expires_at is not None else None
                made = datetime.fromtimestamp(created_at, UTC)
                found.append(Token(name, scope, bytes.fromhex(digest), made, until))
    return tuple(found)
