"""Who is asking, and what they may see.

1. the guard: what no client of this API ever sends is refused by name, before anything is looked at
2. open paths: /healthz, /readyz, icons and the proof of who listens tell nothing of the account
3. identity: a local token or the account's own key as the bearer, or a peer that the kernel says is the same user
"""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from hublet.core.messages import Head, Response, error_response
from hublet.door import tokens
from hublet.door.application import Admitted, Connection
from hublet.door.guard import hosts_of, refusal
from hublet.door.peer import Peers, Verdict, token_required_because
from hublet.serve.service import Service

log = logging.getLogger("hublet.door")

_OPEN = frozenset({"/healthz", "/readyz"})
_PROOF = "/hublet/v1/proof/"
_ICONS = "/icons/"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who was let in: `how` is token, account, same-user or none (an open path); `clear` may see secret values."""

    how: str
    clear: bool = False
    scope: str = ""

    @property
    def known(self) -> bool:
        return self.how != "none"


NOBODY = Identity("none")
SAME_USER = Identity("same-user", clear=True, scope="secrets")
ACCOUNT = Identity("account", clear=True, scope="secrets")


class Admission:
    """Decides on each head. `peers` asks the kernel; None where it can't be asked (`because` says why)."""

    def __init__(self, service: Service, *, peers: Peers | None = None, because: str | None = None) -> None:
        self._service = service
        self._because = because if because is not None else token_required_because()
        self._peers = peers if peers is not None else (None if self._because else Peers())
        self._hosts = hosts_of(service.port)

    def close(self) -> None:
        if self._peers is not None:
            self._peers.close()

    def listen_on(self, port: int) -> None:
        """The port that the Host header has to name, once it is known."""
        self._hosts = hosts_of(port)

    def admit(self, head: Head, connection: Connection) -> Admitted | Response:
        path = head.target.partition("?")[0]
        icons = path.startswith(_ICONS)
        refused = refusal(head, self._hosts, browsers=icons)
        if refused is not None:
            return self._refuse(refused.rule, refused.response())
        if icons:
            return Admitted(NOBODY)
        identity = self._identify(head, connection)
        if isinstance(identity, Identity):
            return Admitted(identity)
        if path in _OPEN or path.startswith(_PROOF):
            return Admitted(NOBODY)
        return self._refuse("identity", identity)

    def _identify(self, head: Head, connection: Connection) -> Identity | Response:
        access = self._service.config.serve.access
        by_token = self._by_bearer(head) if access != "same-user" else None
        if access == "token":
            return by_token or self._unknown("a local token is needed", "make one with `hublet token --name NAME`")
        if by_token is not None and access == "either":
            return by_token
        verdict = self._same_user(connection)
        if verdict is not Verdict.SAME_USER:
            if self._because is not None and access != "both":
                hint = "make a local token with `hublet token --name NAME` and send it as the bearer"
                return self._unknown(f"a local token is needed: {self._because}", hint)
            return error_response(403, "only the user who runs hublet is answered here")
        if access == "both":
            return by_token or self._unknown("a local token is needed as well", "make one with `hublet token`")
        return SAME_USER

    def _same_user(self, connection: Connection) -> Verdict | None:
        """Asked of the kernel once for each connection: the owner of a connected socket does not change."""
        if self._peers is None:
            return None
        if not isinstance(connection.scratch, Verdict):
            connection.scratch = self._peers.same_user(connection.socket)
        return connection.scratch

    def _by_bearer(self, head: Head) -> Identity | None:
        text = tokens.bearer(head.header("authorization"))
        if text is None:
            return None
        service = self._service
        now = datetime.fromtimestamp(service.clock(), UTC)
        token = tokens.verify(text, service.tokens, now)
        if token is not None:
            return Identity("token", clear=token.scope != "read", scope=token.scope)
        if service.account is not None:
            key = service.account.key.reveal().encode()
            if hmac.compare_digest(text.encode("utf-8", "surrogateescape"), key):
                return ACCOUNT
            if text.startswith("con_"):
                service.counters["other-key"] += 1
        return None

    @staticmethod
    def _unknown(message: str, hint: str) -> Response:
        return error_response(401, message, (("WWW-Authenticate", 'Bearer realm="hublet"'),), hint=hint)

    def _refuse(self, rule: str, response: Response) -> Response:
        self._service.counters[f"refused:{rule}"] += 1
        log.warning("refused a request (%s)", rule)
        return response
