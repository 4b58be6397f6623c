"""Which requests go on to the Hub, and what of them may go along: tables and pure functions.

A path is matched on its decoded segments and the target is built anew from them, so nothing that a client wrote can
lead to another origin. Headers come from an allow-list both ways; what a Connection header names stays behind
(RFC 9110 section 7.6.1), and so do cookies.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

import orjson

from hublet.core.messages import Head, Headers, Malformed
from hublet.core.values import dataclass

Which = Literal["listed", "all", "none"]
Spending = Literal["nothing", "requests", "credits"]
"""`requests` to models, of the trial or for credits; or credits alone, by a payment or by an agent's work."""


class Care(Enum):
    """What a kind of path needs besides: whose credential, and what of the answer may be handed on."""

    ANY = "any"
    OWN = "own"
    """The client's own Authorization and no other; never repeated: it has an effect or answers with a token."""
    REFRESH = "refresh"
    """Tokens in both directions: same user only, nothing kept, only the Hub's own JSON 200 and 401 are handed on."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`path` segments, `*` for one of any kind, `**` at the end for any number of them."""

    methods: frozenset[str]
    path: tuple[str, ...]
    care: Care = Care.ANY
    patient: bool = False
    """A model may think for minutes before it says its first word."""
    spends: Spending = "nothing"
    """What of the account it may use up or add to."""

    def matches(self, segments: tuple[str, ...]) -> bool:
        if self.path[-1] == "**":
            head = self.path[:-1]
            return len(segments) >= len(head) and all(a in ("*", b) for a, b in zip(head, segments, strict=False))
        return len(self.path) == len(segments) and all(a in ("*", b) for a, b in zip(self.path, segments, strict=True))


_ALL = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_BOTH = frozenset({"GET", "POST"})

RULES: tuple[Rule, ...] = (
    Rule(frozenset({"POST"}), ("auth", "refresh"), Care.REFRESH),
    Rule(frozenset({"GET"}), ("ide", "get-models-add-on-checkout-url"), Care.OWN, spends="credits"),
    Rule(frozenset({"GET"}), ("ide", "mcp-auth"), Care.OWN),
    Rule(_BOTH, ("model-proxy", "v1", "**"), patient=True, spends="requests"),
    Rule(_BOTH, ("proxy", "context", "*", "list")),
    Rule(_BOTH, ("proxy", "context", "*", "retrieve")),
    Rule(frozenset({"POST"}), ("agents",), spends="credits"),
    Rule(_ALL, ("agents", "**")),
    Rule(_BOTH, ("api", "checks", "*")),
)
_ANYTHING = Rule(_ALL, ("**",))

_SENT_ON = frozenset({
    "accept", "accept-encoding", "accept-language", "content-type", "user-agent", "x-continue-unique-id",
    "x-extension-version", "x-is-prerelease",
})  # fmt: skip
_HANDED_BACK = frozenset({
    "content-type", "content-encoding", "content-language", "etag", "last-modified", "location", "retry-after",
    "x-request-id",
})  # fmt: skip


def rule_for(method: str, segments: tuple[str, ...], which: Which) -> Rule | None:
    """The rule by which a request goes on to the Hub; None when it does not."""
    if which == "none":
        return None
    plain = _plain(segments)
    for rule in RULES:
        # A path that needs care needs it in every spelling that the Hub may take for the same, and with every method.
        matches = rule.matches(segments if rule.care is Care.ANY else plain)
        if matches and method in rule.methods:
            return rule
        if matches and rule.care is not Care.ANY:
            return None
    return _ANYTHING if which == "all" and method in _ANYTHING.methods else None


def is_refresh(target: str) -> bool:
    """Whether a target is the token refresh, whose refusals may not look like the Hub's (they log a person out)."""
    return _plain(tuple(unquote(target.partition("?")[0]).split("/"))) == ("auth", "refresh")


def _plain(segments: tuple[str, ...]) -> tuple[str, ...]:
    """Segments as a server that is easy about slashes and letters' case reads them."""
    return tuple(segment.lower() for segment in segments if segment)


def target_for(head: Head) -> str:
    """Path and query for the Hub, built from the decoded segments. Raises Malformed for what can't be a target."""
    path = "/" + "/".join(quote(segment, safe="") for segment in head.segments)
    query = head.query
    if not query:
        return path
    if not query.isascii() or not query.isprintable() or "#" in query or " " in query:
        raise Malformed("the query can't be passed on")
    return f"{path}?{query}"


def request_headers(head: Head) -> dict[str, str]:
    """The client's headers that go along, without any credential."""
    named = {token.strip().lower() for value in head.values("connection") for token in value.split(",")}
    return {name: value for name, value in head.headers if name in _SENT_ON and name not in named}


def response_headers(headers: Headers, credential: str | None) -> Headers:
    """The Hub's headers that are handed back; a Location that carries a credential is not."""
    named = {token.strip() for name, value in headers if name == "connection" for token in value.lower().split(",")}
    kept = []
    for name, value in headers:
        if name not in _HANDED_BACK or name in named:
            continue
        if name == "location" and _leaks(value, credential):
            continue
        kept.append((name, value))
    return tuple(kept)


def _leaks(location: str, credential: str | None) -> bool:
    """Whether a Location carries a credential; one that can't be read may."""
    try:
        userinfo = urlsplit(location).username is not None
    except ValueError:
        return True
    return userinfo or (credential is not None and (credential in location or credential in unquote(location)))


def own_credential(authorization: str | None) -> str | None:
    """The client's own credential for the Hub; a local token stays here, and `Bearer undefined` is none at all."""
    scheme, _, value = (authorization or "").partition(" ")
    value = value.strip()
    if scheme.lower() != "bearer" or value in ("", "undefined", "null") or value.startswith("hublet_"):
        return None
    return value


def is_refresh_answer(status: int, body: bytes) -> bool:
    """Whether the Hub itself answered a refresh: 200 with both tokens, or a 401 that says so in JSON."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    match status, value:
        case 200, {"accessToken": str(), "refreshToken": str()}:
            return True
        case 401, {"message": str()}:
            return True
    return False
