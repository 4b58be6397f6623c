"""Which requests are passed through to the Hub, with a real daemon in between, and with whose credential."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.faults import ErrorPage, Hang, Html, Status
from tests.daemon.passing import CHAT, OWN, Place, head_of, needs_strangers, quiet
from tests.daemon.visitor import RawHub, Visitor, ask
from tests.running import Home, RunningDaemon

# Credentials


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (None, "none"),
        ("Bearer undefined", "none"),
        (f"Bearer {OWN}", "other"),
        ("Bearer con_somebody_elses", "unknown-key"),
        (f"Bearer {DEMO_KEY}", "key"),
    ],
)
def test_only_the_clients_own_authorization_is_sent_on(place: Place, sent: str | None, kind: str) -> None:
    """Never the account's key, unless the client itself has sent it."""
    ask(place.daemon, "GET", "/agents", headers={"Authorization": sent} if sent else {})
    assert [seen.authorization_kind for seen in place.hub.requests] == [kind]


def test_a_local_token_stays_here(place: Place) -> None:
    """It lets a client in, and is nobody's business beyond that; one that may only read is not passed through."""
    for scope, status, kinds in (("secrets", 401, ["none"]), ("read", 403, [])):
        place.hub.forget_requests()
        made = place.home.hublet("token", "--name", f"passing-{scope}", "--scope", scope)
        assert made.returncode == 0, made.stderr
        token = next(word for word in made.stdout.decode().split() if word.startswith("hublet_"))
        answer = ask(place.daemon, "GET", "/agents", headers={"Authorization": f"Bearer {token}"})
        assert answer.status == status
        assert [seen.authorization_kind for seen in place.hub.requests] == kinds


def test_what_is_sent_on_is_what_the_client_said_and_no_more(wire: tuple[RawHub, RunningDaemon]) -> None:
    """Of a request's headers only the listed, of the answer's too: no cookie either way, nothing Connection names."""
    hub, daemon = wire
    sent = {
        "Authorization": f"Bearer {OWN}",
        "Content-Type": "text/plain;charset=UTF-8",
        "User-Agent": "Continue/1.3.33",
        "X-Continue-Unique-Id": "u-1",
        "Connection": "close, x-extension-version",
        "X-Extension-Version": "1.3.33",
        "TE": "trailers",
        "X-Api-Key": "other-canary",
    }
    answer = ask(daemon, "POST", "/agents?limit=5&x=a%2Fb", b"{}", sent)
    assert answer.status == 200
    assert "set-cookie" not in answer.headers
    assert answer.headers["content-type"] == "application/json"
    assert hub.got.startswith(b"POST /agents?limit=5&x=a%2Fb HTTP/1.1\r\n")
    assert head_of(hub.got) == {
        "host": f"127.0.0.1:{hub.port}",
        "authorization": f"Bearer {OWN}",
        "content-type": "text/plain;charset=UTF-8",
        "user-agent": "Continue/1.3.33",
        "x-continue-unique-id": "u-1",
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "keep-alive",
        "content-length": "2",
    }
    hub.forget()
    ask(daemon, "GET", "/agents")
    assert "cookie" not in head_of(hub.got)


@pytest.mark.parametrize("header", ["Cookie: a=b", "Forwarded: for=1.2.3.4", "X-Forwarded-For: 1.2.3.4", "Via: 1.1 x"])
def test_what_comes_with_cookies_or_through_a_proxy_is_not_sent_on_at_all(place: Place, header: str) -> None:
    name, _, value = header.partition(": ")
    assert ask(place.daemon, "GET", "/agents", headers={name: value}).status == 403
    assert place.hub.requests == []


@pytest.mark.parametrize("path", ["/ide/get-models-add-on-checkout-url?profile_id=local", "/ide/mcp-auth?slug=a%2Fb"])
def test_checkout_and_mcp_auth_need_the_clients_own_authorization_and_are_asked_once(place: Place, path: str) -> None:
    """They have effects or answer with a token: whoever only runs on this machine has no right to them."""
    for headers in ({}, {"Authorization": "Bearer undefined"}):
        refused = ask(place.daemon, "GET", path, headers=headers)
        assert refused.status == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert "message" in json.loads(refused.body)
    assert place.hub.requests == []

    answer = ask(place.daemon, "GET", path, headers={"Authorization": f"Bearer {DEMO_KEY}"})
    if "checkout" in path:
        assert json.loads(answer.body)["url"].startswith("https://checkout.stripe.com/")
    assert [seen.target for seen in place.hub.requests] == [path]

    for fault in (Status(500), Status(503), ErrorPage(), Html(), Hang()):
        place.hub.forget_requests()
        with place.hub.failing(fault):
            answer = ask(place.daemon, "GET", path, headers={"Authorization": f"Bearer {DEMO_KEY}"})
        assert answer.status == (500 if fault == Status(500) else 503)
        assert "message" in json.loads(answer.body)
        assert place.hub.count() == 1, fault


def test_the_accounts_key_is_lent_only_where_the_config_says_so(place: Place, tmp_path: Path) -> None:
    """And even then not for what needs the client's own, nor over a credential that the client brought."""
    settings: dict[str, dict[str, object]] = {"serve": {"passthrough_as_account": True, "passthrough": "all"}}
    home = Home.make(tmp_path / "home", place.server.url, settings=settings)
    home.login(DEMO_KEY)
    with home.daemon() as daemon:
        quiet(daemon)
        for method, path, headers, kinds in (
            ("GET", "/agents", {}, ["key"]),
            ("GET", "/agents", {"Authorization": f"Bearer {OWN}"}, ["other"]),
            ("GET", "/something/new", {}, ["key"]),
            ("GET", "/ide/mcp-auth?slug=x", {}, []),
            ("GET", "/ide//MCP-Auth/?slug=x", {}, []),
            ("POST", "/ide/mcp-auth", {}, []),
            ("GET", "/ide/get-models-add-on-checkout-url", {}, []),
            ("POST", "/auth/refresh", {}, ["none"]),
        ):
            place.hub.forget_requests()
            ask(daemon, method, path, headers=headers)
            assert [seen.authorization_kind for seen in place.hub.requests] == kinds, path


# What goes on at all


def test_listed_paths_go_on_and_others_are_not_found(place: Place) -> None:
    assert json.loads(ask(place.daemon, "GET", "/something/new").body) == {"message": "Not found"}
    assert place.hub.requests == []
    assert ask(place.daemon, "GET", "//agents", headers={"Authorization": f"Bearer {DEMO_KEY}"}).status == 404
    assert [seen.target for seen in place.hub.requests] == ["/agents"]


def test_everything_else_goes_on_where_all_may(wire: tuple[RawHub, RunningDaemon]) -> None:
    hub, daemon = wire
    assert ask(daemon, "PATCH", "/something/n%2Few?x=1", b"{}").status == 200
    assert hub.got.startswith(b"PATCH /something/n%2Few?x=1 HTTP/1.1\r\n")


def test_nothing_goes_on_where_nothing_may(place: Place, tmp_path: Path) -> None:
    home = Home.make(tmp_path / "home", place.server.url, settings={"serve": {"passthrough": "none"}})
    with home.daemon() as daemon:
        for method, path in (("GET", "/agents"), ("POST", CHAT), ("GET", "/ide/mcp-auth"), ("POST", "/auth/refresh")):
            answer = ask(daemon, method, path, headers={"Authorization": f"Bearer {DEMO_KEY}"})
            assert (answer.status, json.loads(answer.body)) == (404, {"message": "Not found"})
    assert place.hub.requests == []


def test_what_was_passed_through_is_counted(place: Place) -> None:
    def passed() -> int:
        status = json.loads(place.home.hublet("status", "--json").stdout)
        return int(status["requests"]["passed_through"])

    before = passed()
    ask(place.daemon, "GET", "/agents")
    ask(place.daemon, "GET", "/nothing/of/ours")
    assert passed() == before + 1


@pytest.mark.parametrize(
    ("line", "host"),
    [
        (b"GET /agents/../ide/policy HTTP/1.1", b"%HOST%"),
        (b"GET /agents/%2e%2e/ide/policy HTTP/1.1", b"%HOST%"),
        (b"GET /agents/.%2E/x HTTP/1.1", b"%HOST%"),
        (b"GET /agents/./x HTTP/1.1", b"%HOST%"),
        (b"GET /agents/%0d%0aX-Evil:1 HTTP/1.1", b"%HOST%"),
        (b"GET /agents/%00 HTTP/1.1", b"%HOST%"),
        (b"GET /agents/%ff HTTP/1.1", b"%HOST%"),
        (b"GET /agents?a=\xff HTTP/1.1", b"%HOST%"),
        (b"GET /agents?a=b c HTTP/1.1", b"%HOST%"),
        (b"GET /agents\r HTTP/1.1", b"%HOST%"),
        (b"GET http://127.0.0.1:1/agents HTTP/1.1", b"%HOST%"),
        (b"GET http://%HOST%/agents HTTP/1.1", b"%HOST%"),
        (b"GET http://user:pass@127.0.0.1/agents HTTP/1.1", b"%HOST%"),
        (b"GET user@evil.example/agents HTTP/1.1", b"%HOST%"),
        (b"CONNECT evil.example:443 HTTP/1.1", b"%HOST%"),
        (b"GET /agents HTTP/1.1", b"evil.example"),
        (b"GET /agents HTTP/1.1", b"user@%HOST%"),
        (b"GET /agents HTTP/1.1", b"localhost:1"),
        (b"GET /agents HTTP/1.1", b"%HOST%\r\nHost: evil.example"),
        (b"GET /agents HTTP/1.1\r\nX-Evil : 1", b"%HOST%"),
    ],
)
def test_a_path_or_host_that_could_lead_elsewhere_is_refused_and_nothing_is_sent(
    place: Place, line: bytes, host: bytes
) -> None:
    with Visitor(place.daemon) as visitor:
        visitor.send(line + b"\r\nHost: " + host + b"\r\nAuthorization: Bearer " + OWN.encode() + b"\r\n\r\n")
        status = int(visitor.until(b"\r\n").split()[1])
        visitor.until(b"message")
    assert status in (400, 403)
    assert place.hub.requests == []


@pytest.mark.parametrize(
    "path", ["/agents//evil.example/x", "/agents/@evil.example", "/agents/http:%2F%2Fevil.example"]
)
def test_what_only_looks_like_another_origin_goes_to_the_hub_as_a_path(
    wire: tuple[RawHub, RunningDaemon], path: str
) -> None:
    hub, daemon = wire
    ask(daemon, "GET", path)
    assert hub.connections == 1
    assert head_of(hub.got)["host"] == f"127.0.0.1:{hub.port}"


@needs_strangers
def test_another_user_is_passed_through_nowhere(place: Place) -> None:
    for path in ("/agents", "/ide/mcp-auth", "/model-proxy/v1/models"):
        answer = ask(place.daemon, "GET", path, headers={"Authorization": f"Bearer {OWN}"}, stranger=True)
        assert answer.status == 403
    assert place.hub.requests == []
