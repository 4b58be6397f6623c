"""The local tokens: which there are, a new one, one taken back."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from hublet.core.errors import HubletError
from hublet.core.locking import is_restored
from hublet.door import tokens
from hublet.serve.account import OLDER
from hublet.serve.service import Service


class Tokens:
    """The routes below /tokens. Each raises HubletError."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def all(self) -> dict[str, object]:
        """What is kept of each token, without the digest."""
        self._service.opened()
        return {"tokens": [_shown(token) for token in self._service.tokens]}

    async def make(self, name: str, scope: str, expires_in: object) -> dict[str, object]:
        """A new token; its text is told here and never again. `expires_in` is in seconds, else it is for ever."""
        service = self._service

        def with_it(before: tuple[tokens.Token, ...]) -> tuple[tokens.Token, ...]:
            service.opened()
            if any(one.name == name for one in before):
                raise HubletError(f"there is a token of the name {name} already", hint=f"`hublet token revoke {name}`")
            return (*before, token)

        if is_restored(service.opened().state.ledger):
            raise HubletError(OLDER, hint="its tokens count again after `hublet store accept`")
        known = next((each for each in tokens.scopes if each == scope), None)
        if known is None:
            raise HubletError(f"a token's scope is one of {', '.join(tokens.scopes)}")
        if not name or not name.isprintable() or len(name) > 64:
            raise HubletError("a token's name has 1 to 64 printable characters")
        now = service.clock()
        until = datetime.fromtimestamp(now + expires_in, UTC) if isinstance(expires_in, int | float) else None
        text, token = tokens.make(name, known, os.urandom(32), datetime.fromtimestamp(now, UTC), until)
        await service.change_tokens(with_it)
        return {"token": text} | _shown(token)

    async def revoke(self, name: str) -> dict[str, object]:
        """From now on a token of this name lets nobody in."""
        service = self._service

        def without_it(before: tuple[tokens.Token, ...]) -> tuple[tokens.Token, ...]:
            service.opened()
            kept = tuple(token for token in before if token.name != name)
            if len(kept) == len(before):
                raise HubletError(f"there is no token of the name {name}", hint="see `hublet token list`")
            return kept

        await service.change_tokens(without_it)
        return {}


def _shown(token: tokens.Token) -> dict[str, object]:
    return {
        "name": token.name,
        "scope": token.scope,
        "created_at": token.created_at.timestamp(),
        "expires_at": token.expires_at.timestamp() if token.expires_at else None,
    }
