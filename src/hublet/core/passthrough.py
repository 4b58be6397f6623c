"""The rules of pass-through: which requests are passed through to the Hub, and with which headers.

A path is matched on its decoded segments, and the target for the Hub is built anew from them, so that nothing that a
client wrote can lead to another origin. In both directions only the headers of a list are passed through; cookies are
not in it. Nor is a header that the Connection header names (RFC 9110 section 7.6.1).
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
"""What a request may change of what the Hub counts for the account. `requests`: those of the free trial, or credits, by
asking a model. `credits`: the credits alone, by a payment or by the work of an agent."""


class Care(Enum):
    """What a kind of path needs besides: whose credential is sent, and which answers are handed on."""

    ANY = "any"
    """The client's own Authorization, else the account's key if the config lends it."""
    OWN = "own"
    """The client's own Authorization and no other. Never sent twice: it has an effect, or answers with a token."""
    REFRESH = "refresh"
    """There are tokens in the request and in the answer: only for the same user, nothing is kept, and only a 200 and a
    401 in the Hub's own JSON are handed on."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests that are passed through. In `path`, `*` stands for any one segment, and `**` at the end for any number
    of segments."""

    methods: frozenset[str]
    path: tuple[str, ...]
    care: Care = Care.ANY
    patient: bool = False
    """Whether its answer is waited for longer than others: a model may think for minutes before its first word."""
    spends: Spending = "nothing"
    """What it may change of what the Hub counts for the account."""

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
    """The rule by which a request is passed through; None when it is not. `which` is the config's
    `serve.passthrough`."""
    if which == "none":
        return None
    plain = _plain(segments)
    for rule in RULES:
        # A path with OWN or REFRESH has it in every spelling that the Hub may take for the same, and with every method.
        matches = rule.matches(segments if rule.care is Care.ANY else plain)
        if matches and method in rule.methods:
            return rule
        if matches and rule.care is not Care.ANY:
            return None
    return _ANYTHING if which == "all" and method in _ANYTHING.methods else None


def is_refresh(target: str) -> bool:
    """Whether a target is that of the token refresh. Our refusals there must not look like the Hub's, which would log
    the user out."""
    return _plain(tuple(unquote(target.partition("?")[0]).split("/"))) == ("auth", "refresh")


def _plain(segments: tuple[str, ...]) -> tuple[str, ...]:
    """Segments as the most lenient server reads them: without empty ones, in lower case."""
    return tuple(segment.lower() for segment in segments if segment)


def target_for(head: Head) -> str:
    """Path and query for the Hub, built from the decoded segments. Raises Malformed for a path or a query that can't be
    one."""
    path = "/" + "/".join(quote(segment, safe="") for segment in head.segments)
    query = head.query
    if not query:
        return path
    if not query.isascii() or not query.isprintable() or "#" in query or " " in query:
        raise Malformed("the query can't be passed on")
    return f"{path}?{query}"


def request_headers(head: Head) -> dict[str, str]:
    """The headers of the client that are passed through; no credential is among them."""
    named = {token.strip().lower() for value in head.values("connection") for token in value.split(",")}
    return {name: value for name, value in head.headers if name in _SENT_ON and name not in named}


def response_headers(headers: Headers, credential: str | None) -> Headers:
    """The headers of the Hub that are handed back. A Location with a credential in it is not; `credential` is the one
    that was sent."""
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
    """Whether a Location has a credential in it. One that can't be read may have."""
    try:
        userinfo = urlsplit(location).username is not None
    except ValueError:
        return True
    return userinfo or (credential is not None and (credential in location or credential in unquote(location)))


def own_credential(authorization: str | None) -> str | None:
    """The client's own credential for the Hub, without `Bearer`; None when it sent none. A local token is none, and
    stays here; nor is `Bearer undefined`, which on-premises clients send."""
    scheme, _, value = (authorization or "").partition(" ")
    value = value.strip()
    if scheme.lower() != "bearer" or value in ("", "undefined", "null") or value.startswith("hublet_"):
        return None
    return value


def is_refresh_answer(status: int, body: bytes) -> bool:
    """Whether this is the Hub's own answer to a refresh: a 200 with both tokens, or a 401 with a JSON message."""
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
