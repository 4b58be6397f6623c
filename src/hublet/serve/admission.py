"""Who is asking, and what they may see. The checks, in order:

1. On the Unix socket the kernel says who opened the connection; another user gets nothing, not even an open path.
2. The guard (door/guard.py) refuses requests that no client of this API ever sends, each by the rule it breaks.
3. The icons are open to everybody, since they say nothing of the account.
4. Everything else takes an identity: a local token or the account's own key as the bearer, or a peer that the kernel
   says is the same user. Without one only the open paths are answered, which say nothing of the account either:
   /healthz, /readyz and the proof of which process listens. A body is read from nobody without an identity.
"""

from __future__ import annotations

import hmac
import os
import socket
from dataclasses import field, replace
from datetime import UTC, datetime
from math import inf
from typing import NamedTuple

from hublet.core.messages import Head, Response, error_response
from hublet.core.values import dataclass
from hublet.door import tokens
from hublet.door.application import Admitted, Connection
from hublet.door.audit import Who
from hublet.door.guard import hosts_of, refusal
from hublet.door.peer import Peers, Unaskable, Verdict, token_required_because
from hublet.serve.doorkeeper import Doorkeeper, asked_for, caller
from hublet.serve.service import Service

_OPEN = frozenset({"/healthz", "/readyz"})
_PROOF = "/hublet/v1/proof/"
_ICONS = "/icons/"
_API = Who("api")
_ICON = Who("icon")
_ONLY_US = "only the user who runs hublet is answered here"
_MAKE_ONE = "make one with `hublet token --name NAME`"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who was let in. `how` is token, account, same-user or none (an open path); with `clear` they may see secret
    values; `who` is the same person as the audit log writes it."""

    how: str
    clear: bool = False
    who: Who = field(default=_API, compare=False)
    until: float = inf
    """When the token expires, in seconds on the wall clock."""

    @property
    def known(self) -> bool:
        return self.how != "none"


NOBODY = Identity("none")
SAME_USER = Identity("same-user", clear=True, who=replace(_API, how="same-user"))
ACCOUNT = Identity("account", clear=True, who=replace(_API, how="account"))


class _Denied(NamedTuple):
    rule: str
    response: Response
    uid: int | None = None


class Admission:
    """Decides on each request's head. `peers` asks the kernel who a peer is, and is not used where it can't be asked;
    `because` says why that is so. Both are found out when they are not given."""

    def __init__(
        self, service: Service, *, peers: Peers | None = None, because: str | None = None, uid: int | None = None
    ) -> None:
        self._service = service
        self._because = (token_required_because() if because is None else because) or None
        self._peers = peers if peers is not None else (None if self._because else Peers())
        self._uid = os.getuid() if uid is None else uid
        self._same = replace(SAME_USER, who=replace(SAME_USER.who, uid=self._uid))
        self._hosts = hosts_of(service.port)
        self.doorkeeper = Doorkeeper(service)

    def close(self) -> None:
        self.doorkeeper.close()
        if self._peers is not None:
            self._peers.close()

    def admit(self, head: Head, connection: Connection) -> Admitted | Response:
        path = head.target.partition("?")[0]
        icons = path.startswith(_ICONS)
        who = _ICON if icons else _API
        on_unix = connection.family == socket.AF_UNIX
        if on_unix:
            who = self._caller(connection)
            if who.uid != self._uid:
                refused = _Denied("other-user", error_response(403, _ONLY_US))
                return self._refuse(refused, who, head, connection)
        broken = refusal(head, None if on_unix else self._hosts, browsers=icons)
        if broken is not None:
            return self._refuse(_Denied(broken.rule, broken.response()), who, head, connection)
        if icons:
            return self._anybody(replace(NOBODY, who=who), head, connection)
        identity = self._identify(head, connection, who if on_unix else None)
        if isinstance(identity, Identity):
            return Admitted(identity)
        # A wrong token is refused on open paths, too: /readyz tells more to the right one, so tokens could be guessed.
        if (path in _OPEN or path.startswith(_PROOF)) and identity.rule != "unknown-token":
            return self._anybody(NOBODY, head, connection)
        return self._refuse(identity, who, head, connection)

    def _anybody(self, nobody: Identity, head: Head, connection: Connection) -> Admitted | Response:
        """Let somebody unknown in to an open path or an icon, unless they send a body: many of those would fill the
        memory."""
        if (head.header("content-length") or "0").strip("0") or head.header("transfer-encoding") is not None:
            refused = error_response(413, "no body is read here")
            return self._refuse(_Denied("body", refused), nobody.who, head, connection)
        return Admitted(nobody, known=False)

    @staticmethod
    def _caller(connection: Connection) -> Who:
        """Who opened the Unix socket's connection; the kernel is asked once for each connection."""
        if not isinstance(connection.scratch, Who):
            connection.scratch = caller("socket", connection.socket)
        return connection.scratch

    def _identify(self, head: Head, connection: Connection, on_unix: Who | None) -> Identity | _Denied:
        """`on_unix` is who opened the connection on the Unix socket: our own user, since others were refused before.
        None on the loopback port."""
        access = self._service.config.serve.access
        text = tokens.bearer(head.header("authorization")) if access != "same-user" else None
        bearer = self._by_bearer(text, on_unix or _API) if text is not None else None
        if bearer is not None and access in ("either", "token"):
            return bearer
        tried = text is not None and text.startswith((tokens.prefix, "con_"))
        if access == "token":
            return _no_token(tried, "a local token is needed", _MAKE_ONE)
        if on_unix is None:
            verdict = self._same_user(connection)
            if verdict is not Verdict.SAME_USER:
                return self._other(verdict, connection, tried=tried and bearer is None)
        if access == "both":
            return bearer or _no_token(tried, "a local token is needed as well", _MAKE_ONE)
        return self._same if on_unix is None else replace(SAME_USER, who=replace(on_unix, how="same-user"))

    def _other(self, verdict: Verdict | None, connection: Connection, *, tried: bool) -> _Denied:
        """Why a peer is refused that is not known to be our own user; `tried` when it sent a wrong token or key."""
        if self._because is not None and self._service.config.serve.access != "both":
            hint = "make a local token with `hublet token --name NAME` and send it as the bearer"
            return _no_token(tried, f"a local token is needed: {self._because}", hint)
        uid = self._peer_uid(connection) if verdict is Verdict.OTHER_USER else None
        rule = "unknown-token" if tried else (verdict or Verdict.UNASKABLE).value
        return _Denied(rule, error_response(403, _ONLY_US), uid)

    def _same_user(self, connection: Connection) -> Verdict | None:
        """Whether the peer is our own user. The kernel is asked once for each connection: the owner of a connected
        socket does not change. None where it can't be asked."""
        if self._peers is None:
            return None
        if not isinstance(connection.scratch, Verdict):
            connection.scratch = self._peers.same_user(connection.socket)
        return connection.scratch

    def _peer_uid(self, connection: Connection) -> int | None:
        try:
            return self._peers.peer_uid(connection.socket) if self._peers is not None else None
        except Unaskable:
            return None

    def _by_bearer(self, text: str, who: Who) -> Identity | None:
        service = self._service
        now = datetime.fromtimestamp(service.clock(), UTC)
        token = tokens.verify(text, service.honoured_tokens, now)
        if token is not None:
            who = replace(who, how=f"token:{token.name}")
            until = token.expires_at.timestamp() if token.expires_at is not None else inf
            return Identity("token", clear=token.scope != "read", who=who, until=until)
        if service.account is not None:
            key = service.account.key.reveal().encode()
            if hmac.compare_digest(text.encode("utf-8", "surrogateescape"), key):
                return ACCOUNT if who is _API else replace(ACCOUNT, who=replace(who, how="account"))
            if text.startswith("con_"):
                service.counters["other-key"] += 1
        return None

    def _refuse(self, denied: _Denied, who: Who, head: Head, connection: Connection) -> Response:
        if denied.uid is not None:
            who = replace(who, uid=denied.uid)
        return self.doorkeeper.refuse(denied.rule, denied.response, who, asked_for(head), connection)


def _no_token(tried: bool, message: str, hint: str) -> _Denied:
    response = error_response(401, message, (("WWW-Authenticate", 'Bearer realm="hublet"'),), hint=hint)
    return _Denied("unknown-token" if tried else "no-token", response)
