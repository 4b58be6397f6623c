"""Refusals before routing: what a client of this API never sends, but web pages, proxies and tunnels do.

A web page can make a browser send requests here (cross-site, or by DNS rebinding under its own name), and a tunnel can
carry the port to other machines. Every rule is a row of `rules`, asked in order; the first that holds gives the
refusal. `cn` and the IDE pass all of them: Node's fetch sends `sec-fetch-mode` and none of its siblings.
"""

from __future__ import annotations

from collections.abc import Callable

from hublet.core.messages import Head, Response, error_response
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request is not let in: the rule's name (for counters and logs), the status and the sentence sent back."""

    rule: str
    status: int
    message: str

    def response(self) -> Response:
        return error_response(self.status, self.message)


@dataclass(frozen=True, slots=True)
class Rule:
    """`holds(head, names)` is True for a head to be refused; `names` are the names of its headers."""

    name: str
    holds: Callable[[Head, frozenset[str]], bool]
    message: str
    browser: bool = False
    """Asked only where browsers have no business: not for icons, which an `<img>` in an IDE's webview loads."""


_upgrading = frozenset(("upgrade", "http2-settings"))
_forwarding = frozenset(("forwarded", "via", "x-real-ip"))
_fetching = frozenset(("sec-fetch-site", "sec-fetch-dest", "sec-fetch-user"))


def _not_origin_form(head: Head, _: frozenset[str]) -> bool:
    return not head.target.startswith("/")


def _tunnel_method(head: Head, _: frozenset[str]) -> bool:
    return head.method in ("CONNECT", "TRACE")


def _upgrade(head: Head, names: frozenset[str]) -> bool:
    if not names.isdisjoint(_upgrading):
        return True
    if "connection" not in names:
        return False
    tokens = ",".join(head.values("connection")).lower().split(",")
    return not _upgrading.isdisjoint(token.strip() for token in tokens)


def _forwarded(_: Head, names: frozenset[str]) -> bool:
    if not names.isdisjoint(_forwarding):
        return True
    return any(name.startswith(("x-forwarded", "x-original")) for name in names)


def _browser_agent(head: Head, names: frozenset[str]) -> bool:
    return "user-agent" in names and any("mozilla/" in value.lower() for value in head.values("user-agent"))


rules: tuple[Rule, ...] = (
    # RFC 9112 section 3.2: only origin-form names a resource of this server; the others make it a proxy
    Rule("target-form", _not_origin_form, "only paths of this server can be asked for"),
    Rule("method", _tunnel_method, "this method is not allowed here"),
    Rule("upgrade", _upgrade, "an upgrade is not possible here"),
    Rule("forwarded", _forwarded, "requests through a proxy are not answered"),
    Rule("origin", lambda _, names: "origin" in names, "web pages are not answered", browser=True),
    Rule("referer", lambda _, names: "referer" in names, "web pages are not answered", browser=True),
    Rule("cookie", lambda _, names: "cookie" in names, "cookies are not accepted", browser=True),
    Rule("sec-fetch", lambda _, names: not names.isdisjoint(_fetching), "browsers are not answered", browser=True),
    Rule("browser-agent", _browser_agent, "browsers are not answered", browser=True),
)


def hosts_of(port: int) -> frozenset[str]:
    """The Host values that mean this server on this port, in lower case (RFC 9110 section 7.2)."""
    names = ("localhost", "127.0.0.1", "[::1]")
    return frozenset([f"{name}:{port}" for name in names] + (list(names) if port == 80 else []))


def refusal(head: Head, hosts: frozenset[str] | None, *, browsers: bool = False) -> Refused | None:
    """The first rule that refuses a head, None when all let it pass.

    `hosts` is the exact set of Host values that are ours (`hosts_of`), None on a Unix socket, where no name led here.
    `browsers` skips the rules against browsers: for the icons' path only.
    """
    names = frozenset(name for name, _ in head.headers)
    if hosts is not None:
        sent = head.values("host")
        if len(sent) != 1 or sent[0].lower() not in hosts:
            return Refused("host", 403, "the Host header does not name this server")
    for rule in rules:
        if (not rule.browser or not browsers) and rule.holds(head, names):
            return Refused(rule.name, 403, rule.message)
    return None
