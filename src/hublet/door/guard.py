"""Refuses, before routing, requests with anything that web pages, proxies and tunnels send but no client of this API.

A web page can make a browser send requests here (cross-site, or by DNS rebinding under the page's own name), and a
tunnel can make the port reachable from other machines. Each rule is a row of `rules`. They are asked in order, and the
first that holds gives the refusal. `cn` and the IDE extensions pass all of them: of the `sec-fetch-*` headers, Node's
fetch sends `sec-fetch-mode` only, which no rule refuses.
"""

from __future__ import annotations

from collections.abc import Callable

from hublet.core.messages import Head, Response, error_response
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal: the name of the rule (for counters and logs), the status and the sentence that are sent back."""

    rule: str
    status: int
    message: str

    def response(self) -> Response:
        return error_response(self.status, self.message)


@dataclass(frozen=True, slots=True)
class Rule:
    """`holds(head, names)` is true when the head is to be refused; `names` are the names of its headers."""

    name: str
    holds: Callable[[Head, frozenset[str]], bool]
    message: str
    browser: bool = False
    """Whether the rule is against browsers. Such a rule is skipped for icons, which an `<img>` in an IDE's webview
    loads."""


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
    # RFC 9112 section 3.2: only a target in origin-form names a resource of this server; the other forms ask a proxy
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
    """The refusal by the first rule that holds, None when none does.

    `hosts` are all the Host values that mean us (`hosts_of`); None on a Unix socket, where Host is not checked because
    no name leads there. `browsers` skips the rules against browsers, which is done for the icons' path only.
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
