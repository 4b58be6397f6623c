"""What answers the admin door's requests, each part made when it is first asked.

Its module is imported then, too: most daemons never need most of them, and a process keeps in memory what it has
loaded.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from hublet.serve.service import Service

if TYPE_CHECKING:
    from hublet.serve.account import Accounts
    from hublet.serve.bundling import Bundling
    from hublet.serve.forgetting import Forgetting
    from hublet.serve.history import History
    from hublet.serve.keys import Keys
    from hublet.serve.quarantine import Quarantine
    from hublet.serve.secrets import Secrets
    from hublet.serve.tokens import Tokens
    from hublet.serve.upkeep import Upkeep


class Parts:
    """Belongs to one event loop, as the service does."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def proof(self, nonce: str) -> dict[str, object]:
        """What proves that the port that is served is this process's."""
        return {"proof": self.service.proof(nonce), "port": self.service.port}

    @cached_property
    def account(self) -> Accounts:
        from hublet.serve.account import Accounts

        return Accounts(self.service)

    @cached_property
    def bundling(self) -> Bundling:
        from hublet.serve.bundling import Bundling

        return Bundling(self.service)

    @cached_property
    def forgetting(self) -> Forgetting:
        from hublet.serve.forgetting import Forgetting

        return Forgetting(self.service)

    @cached_property
    def history(self) -> History:
        from hublet.serve.history import History

        return History(self.service)

    @cached_property
    def keys(self) -> Keys:
        from hublet.serve.keys import Keys

        return Keys(self.service)

    @cached_property
    def quarantine(self) -> Quarantine:
        from hublet.serve.quarantine import Quarantine

        return Quarantine(self.service)

    @cached_property
    def secrets(self) -> Secrets:
        from hublet.serve.secrets import Secrets

        return Secrets(self.service)

    @cached_property
    def tokens(self) -> Tokens:
        from hublet.serve.tokens import Tokens

        return Tokens(self.service)

    @cached_property
    def upkeep(self) -> Upkeep:
        from hublet.serve.upkeep import Upkeep

        return Upkeep(self.service)
