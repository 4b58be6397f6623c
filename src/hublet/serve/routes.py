"""Every request that the admin door answers: a row each, with its name in the audit log and what answers it.

The name is in words of our own, since a path may hold names; of a request without a row it is `other`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from hublet.core.messages import Malformed, Response, error_response
from hublet.core.secretstr import SecretStr
from hublet.core.values import dataclass
from hublet.serve import telling
from hublet.serve.parts import Parts
from hublet.serve.status import status

ANY = "*"
"""Stands for one segment of a path that is a name."""
NOT_FOUND = error_response(404, "Not found", hint="is another version of hublet running?")
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: `names` stand in the path where its row has `ANY`, `value` is the body's JSON object."""

    names: tuple[str, ...]
    value: Mapping[str, Any]

    def text(self, word: str) -> str:
        """A text of the body. Raises Malformed when there is none of that name."""
        found = self.value.get(word)
        if not isinstance(found, str):
            raise Malformed(f"the body has no text {word}")
        return found

    def secret(self, word: str) -> SecretStr | None:
        """A secret text of the body, None when there is none of that name."""
        found = self.value.get(word)
        return SecretStr(found) if isinstance(found, str) else None


Told = Mapping[str, object] | Response
"""What is answered: a JSON object with status 200, or a whole Response."""
Answer = Callable[[Parts, Asked], Awaitable[Told] | Told]


@dataclass(frozen=True, slots=True)
class Route:
    """A kind of request. `action` is its name in the audit log; empty for one that is not written there.

    What reveals is written down before it is done, and not done when that fails. `about` is where a request says which
    local token it is about: a word of the body, or `ANY` for the name in the path. People here choose those names, so
    that they may be written down in clear. `asks_for` is the body's word for the secret whose value is asked for.
    Without `reopens` it is answered without another try to open a cache that could not be opened.
    """

    method: str
    path: str
    action: str
    answer: Answer
    reveals: bool = False
    about: str = ""
    asks_for: str = ""
    reopens: bool = True

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(self.path[1:].split("/"))

    def matched(self, method: str, segments: tuple[str, ...]) -> tuple[str, ...] | None:
        """The names in the path; None for another request."""
        mine = self.segments
        if method != self.method or len(segments) != len(mine):
            return None
        if not all(word in (ANY, given) for word, given in zip(mine, segments, strict=True)):
            return None
        return tuple(given for word, given in zip(mine, segments, strict=True) if word == ANY)

    def token_of(self, asked: Asked) -> str:
        """The local token that the request is about; empty for none."""
        found = asked.names[0] if self.about == ANY else asked.value.get(self.about) if self.about else None
        return found[:_LONGEST_NAME] if isinstance(found, str) else ""

    def secret_of(self, asked: Asked) -> str:
        """The name of the secret that the request asks for; empty for none. It comes from the Hub: not to be written
        down in clear."""
        found = asked.value.get(self.asks_for) if self.asks_for else None
        return found if isinstance(found, str) else ""


def route_of(method: str, segments: tuple[str, ...]) -> tuple[Route, tuple[str, ...]] | None:
    """The row of a request, and the names in its path; None when there is no such request."""
    for route in ROUTES:
        if (names := route.matched(method, segments)) is not None:
            return route, names
    return None


# What is answered by a function alone; its module is imported when it is first asked for, as in `Parts`


async def _examine(parts: Parts, _: Asked) -> Told:
    from hublet.serve.examining import examine

    return await examine(parts.service)


async def _probe(parts: Parts, _: Asked) -> Told:
    from hublet.serve.examining import probe

    return await probe(parts.service)


async def _sunset(parts: Parts, _: Asked) -> Told:
    from hublet.serve.sunset import sunset

    return await asyncio.to_thread(sunset, parts.service)


def _events_after(parts: Parts, asked: Asked) -> Told:
    return telling.lines(parts.service, telling.id_of(*asked.names))


async def _audit_log(parts: Parts, _: Asked) -> Told:
    from hublet.serve.auditlog import audit_log

    return await audit_log(parts.service)


def _sync(parts: Parts, _: Asked, *, full: bool = False) -> Told:
    from hublet.serve.syncing import lines

    return Response(200, (("Content-Type", "application/x-ndjson"),), lines(parts.service.opened(), full=full))


def _sync_full(parts: Parts, asked: Asked) -> Told:
    return _sync(parts, asked, full=True)


async def _assistants(parts: Parts, _: Asked) -> Told:
    from hublet.serve.showing import assistants

    return await assistants(parts.service)


async def _assistant(parts: Parts, asked: Asked) -> Told:
    from hublet.serve.showing import assistant

    return await assistant(parts.service, *asked.names)


def _policy(parts: Parts, _: Asked) -> Told:
    from hublet.serve.showing import policy

    return policy(parts.service)


async def _export(parts: Parts, asked: Asked, *, values: bool = False) -> Told:
    """What tells values has a path of its own, by which it is written down."""
    from hublet.serve.exporting import Wish, export

    wish = Wish.of(asked.value)
    if (wish.values != "none") != values:
        return NOT_FOUND
    return await asyncio.to_thread(export, parts.service, wish)


async def _export_values(parts: Parts, asked: Asked) -> Told:
    return await _export(parts, asked, values=True)


ROUTES = (
    # What there is
    Route("GET", "/status", "status", lambda parts, _: status(parts.service)),
    Route("GET", "/tally", "tally", lambda parts, _: parts.service.tally.to_plain()),
    Route("GET", "/examine", "doctor", _examine),
    Route("POST", "/probe", "doctor probe", _probe),
    Route("GET", "/sunset", "doctor sunset", _sunset),
    Route("GET", "/events", "events", lambda parts, _: telling.lines(parts.service, None)),
    Route("GET", f"/events/{ANY}", "events", _events_after),
    Route("GET", f"/proof/{ANY}", "", lambda parts, asked: parts.proof(*asked.names), reopens=False),
    Route("GET", "/audit", "audit", _audit_log),
    # The account
    Route("POST", "/sync", "sync", _sync),
    Route("POST", "/sync/full", "sync", _sync_full),
    Route(
        "POST", "/login", "login",
        lambda parts, asked: parts.account.login(asked.text("key"), fresh=asked.value.get("fresh") is True),
    ),
    Route("POST", "/lock", "lock", lambda parts, _: parts.account.lock()),
    Route("POST", "/unlock", "unlock --offline", lambda parts, _: parts.account.unlock(), reveals=True),
    Route("POST", "/store/accept", "store accept", lambda parts, _: parts.account.accept_older(), reveals=True),
    # What the Hub says and has said
    Route("GET", "/assistants", "assistants", _assistants),
    Route("GET", f"/assistants/{ANY}", "assistants", _assistant),
    Route("GET", f"/assistants/{ANY}/{ANY}", "assistants", _assistant),
    Route("GET", "/policy", "policy", _policy),
    Route("GET", "/history", "log", lambda parts, _: parts.history.log()),
    Route("GET", f"/history/{ANY}", "log", lambda parts, asked: parts.history.log(*asked.names)),
    Route("GET", f"/history/{ANY}/{ANY}", "log", lambda parts, asked: parts.history.show(*asked.names)),
    Route("GET", f"/diff/{ANY}/{ANY}", "diff", lambda parts, asked: parts.history.diff(*asked.names)),
    Route(
        "POST", "/pins", "pin",
        lambda parts, asked: parts.history.pin(asked.text("what"), asked.text("revision"), asked.value.get("for")),
    ),
    Route("DELETE", f"/pins/{ANY}", "unpin", lambda parts, asked: parts.history.unpin(*asked.names)),
    Route(
        "POST", "/quarantine/show", "quarantine show",
        lambda parts, asked: parts.quarantine.show(asked.text("what")),
    ),
    Route(
        "POST", "/quarantine/accept", "quarantine accept",
        lambda parts, asked: parts.quarantine.accept(asked.text("what")),
    ),
    Route(
        "POST", "/quarantine/reject", "quarantine reject",
        lambda parts, asked: parts.quarantine.reject(asked.text("what")),
    ),
    # Secrets and tokens
    Route("GET", "/secrets", "secrets", lambda parts, _: parts.secrets.all()),
    Route(
        "POST", "/secrets/get", "secrets get",
        lambda parts, asked: parts.secrets.get(asked.text("name"), asked.value.get("scope")),
        reveals=True, asks_for="name",
    ),
    Route("GET", "/tokens", "token list", lambda parts, _: parts.tokens.all()),
    Route(
        "POST", "/tokens", "token make",
        lambda parts, asked: parts.tokens.make(
            asked.text("name"), asked.text("scope"), asked.value.get("expires_in")
        ),
        reveals=True, about="name",
    ),
    Route(
        "DELETE", f"/tokens/{ANY}", "token revoke", lambda parts, asked: parts.tokens.revoke(*asked.names), about=ANY
    ),
    # Files for elsewhere
    Route("POST", "/export", "export", _export),
    Route("POST", "/export/values", "export values", _export_values, reveals=True),
    Route(
        "POST", "/bundle", "bundle", lambda parts, asked: parts.bundling.make(asked.text("passphrase")), reveals=True
    ),
    Route(
        "POST", "/import", "import",
        lambda parts, asked: parts.bundling.take(asked.text("folder"), asked.text("passphrase")),
    ),
    Route("POST", "/import/folder", "import", lambda parts, asked: parts.bundling.take_folder(asked.text("path"))),
    # The store and its key
    Route("GET", "/store/check", "store check", lambda parts, _: parts.upkeep.check()),
    Route(
        "POST", "/store/repair", "store repair",
        lambda parts, asked: parts.upkeep.repair(accept_missing=asked.value.get("accept_missing") is True),
    ),
    Route("POST", "/store/backup", "store backup", lambda parts, _: parts.upkeep.back_up()),
    Route("POST", "/store/restore", "store restore", lambda parts, _: parts.upkeep.restore()),
    Route("GET", "/keys", "keys show", lambda parts, _: parts.keys.show()),
    Route(
        "POST", "/keys/rotate", "keys rotate",
        lambda parts, asked: parts.keys.rotate(asked.secret("passphrase"), asked.secret("new_passphrase")),
    ),
    Route(
        "POST", "/keys/move", "keys move",
        lambda parts, asked: parts.keys.move(
            asked.text("source"), asked.secret("passphrase"), asked.secret("new_passphrase")
        ),
    ),
    Route(
        "POST", "/keys/escrow", "keys escrow",
        lambda parts, asked: parts.keys.escrow(asked.secret("passphrase")), reveals=True,
    ),
    Route(
        "POST", "/keys/recover", "keys recover",
        lambda parts, asked: parts.keys.recover(asked.text("code"), asked.secret("new_passphrase")),
    ),
    Route("GET", "/forget", "", lambda parts, _: parts.forgetting.plan(), reopens=False),
    Route("POST", "/forget", "forget", lambda parts, _: parts.forgetting.forget(), reopens=False),
)  # fmt: skip
