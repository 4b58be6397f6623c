"""What is passed through to the Hub, with a real daemon in between: streaming, credentials, refusals, and an outage."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY, DEMO_REFRESH_TOKEN
from hublet.demo.faults import ErrorPage, Hang, Html, HugeBody, RedirectTo, Status
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.daemon.visitor import RawHub, Visitor, ask, raw_hub
from tests.running import AS_ROOT, Answer, Home, RunningDaemon, eventually

CHAT = "/model-proxy/v1/chat/completions"
OWN = "eyJhbGciOiJub25l.client-own-canary.c2ln"
"""A client's own sign-in, which the pretend Hub does not know."""
LOGS_OUT = ("401", "Invalid refresh token", "Unauthorized")
"""What makes VS Code end a session when it stands in the text of a refresh that failed (WIRE 1.4)."""
needs_strangers = pytest.mark.skipif(not AS_ROOT, reason="needs root to be another user")


@dataclass
class Place:
    """A Hub, a home that is logged in to it, and a daemon; `hub` forgets what it saw and is healed for each test."""

    server: HubServer
    home: Home
    daemon: RunningDaemon

    @property
    def hub(self) -> Hub:
        return self.server.hub


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with HubServer(Hub()) as server:
        home = Home.make(tmp_path_factory.mktemp("passing") / "home", server.url)
        home.login(DEMO_KEY)
        settings = {"hub": {"timeout": "1s", "connect_timeout": "1s"}, "log": {"level": "debug"}}
        home.configure(server.url, settings=settings)
        with home.daemon() as daemon:
            _quiet(daemon)
            yield Place(server, home, daemon)
        assert server.crashes == []


def _quiet(daemon: RunningDaemon) -> None:
    """Wait for the pass with which a daemon begins."""
    eventually(lambda: b"answered," in daemon.log.read_bytes())


@pytest.fixture
def place(shared: Place) -> Iterator[Place]:
    shared.hub.forget_requests()
    yield shared
    shared.hub.heal()
    shared.hub.token_pace = 0.0


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RawHub, RunningDaemon]]:
    """A daemon that is not logged in, in front of a Hub whose bytes the test writes: all that comes is passed through.
    Everything goes on (`serve.passthrough: all`)."""
    with raw_hub() as hub:
        settings: dict[str, dict[str, object]] = {
            "hub": {"timeout": "2s", "connect_timeout": "1s"},
            "serve": {"passthrough": "all"},
        }
        home = Home.make(tmp_path_factory.mktemp("bare") / "home", hub.url, settings=settings)
        with home.daemon() as daemon:
            yield hub, daemon


@pytest.fixture
def wire(bare: tuple[RawHub, RunningDaemon]) -> tuple[RawHub, RunningDaemon]:
    hub, daemon = bare
    hub.forget()
    hub.answer_with(b'HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 2\nSet-Cookie: s="1"', b"{}")
    return hub, daemon


def head_of(request: bytes) -> dict[str, str]:
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: %HOST%", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# Streaming


def test_a_models_answer_comes_token_by_token(place: Place) -> None:
    """The first token is here while the Hub still waits to send the others; at the end not a byte is missing."""
    place.hub.token_pace = 0.25
    body = json.dumps({"model": "m", "stream": True, "messages": []}).encode()
    with Visitor(place.daemon) as visitor:
        begun = time.monotonic()
        visitor.send(post(CHAT, body, f"Authorization: Bearer {DEMO_KEY}", "Connection: close"))
        head = visitor.until(b"\r\n\r\n")
        visitor.until(b'"Hello"')
        first = time.monotonic() - begun
        assert b" pretend" not in visitor.got
        everything = visitor.rest()
        last = time.monotonic() - begun
    assert b"text/event-stream" in head
    assert first < 0.25 * (len(place.hub.tokens) - 1) <= last
    positions = [everything.index(json.dumps(token).encode()) for token in place.hub.tokens]
    assert positions == sorted(positions)
    assert everything.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_a_requests_body_is_sent_on_as_it_comes(wire: tuple[RawHub, RunningDaemon]) -> None:
    """The Hub has the first part before the client has sent the last, and the head says the same length."""
    hub, daemon = wire
    hub.answer_with(b"")
    with Visitor(daemon) as visitor:
        visitor.send(b"POST /agents HTTP/1.1\r\nHost: %HOST%\r\nContent-Length: 10\r\n\r\nfirst")
        eventually(lambda: hub.got.endswith(b"first"))
        assert head_of(hub.got)["content-length"] == "10"
        visitor.send(b"-last")
        eventually(lambda: hub.got.endswith(b"first-last"))
        hub.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        visitor.until(b"ok")


def test_a_body_of_unknown_length_is_sent_on_in_chunks(wire: tuple[RawHub, RunningDaemon]) -> None:
    hub, daemon = wire
    hub.answer_with(b"")
    with Visitor(daemon) as visitor:
        visitor.send(b"POST /agents HTTP/1.1\r\nHost: %HOST%\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        eventually(lambda: b"first" in hub.got)
        assert head_of(hub.got)["transfer-encoding"] == "chunked"
        visitor.send(b"0\r\n\r\n")
        eventually(lambda: hub.got.endswith(b"0\r\n\r\n"))
        hub.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        visitor.until(b"ok")


def test_when_the_client_goes_the_hubs_connection_ends_before_an_answer(place: Place) -> None:
    place.hub.inject(Hang(), "/agents")
    with Visitor(place.daemon) as visitor:
        visitor.send(b"GET /agents/waiting HTTP/1.1\r\nHost: %HOST%\r\n\r\n")
        eventually(lambda: place.hub.count("/agents/waiting") == 1)
        open_before = place.server.connections
    eventually(lambda: place.server.connections < open_before, within=1.5)


def test_when_the_client_goes_the_hubs_connection_ends_within_an_answer(place: Place) -> None:
    """A model that would go on talking for a minute is not left talking to nobody."""
    place.hub.token_pace, place.hub.tokens, kept = 0.05, tuple(f"<{n}>" for n in range(1200)), place.hub.tokens
    try:
        with Visitor(place.daemon) as visitor:
            body = json.dumps({"stream": True, "messages": []}).encode()
            visitor.send(post(CHAT, body, f"Authorization: Bearer {DEMO_KEY}"))
            visitor.until(b"<3>")
            open_before = place.server.connections
        eventually(lambda: place.server.connections < open_before, within=3)
    finally:
        place.hub.tokens = kept


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
        _quiet(daemon)
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


# What comes back


def test_a_redirect_is_handed_back_and_not_followed(place: Place) -> None:
    with raw_hub() as elsewhere:
        place.hub.inject(RedirectTo(f"{elsewhere.url}/there?x=1"), "/agents")
        answer = ask(place.daemon, "GET", "/agents", headers={"Authorization": f"Bearer {OWN}"})
        assert (answer.status, answer.headers["location"]) == (302, f"{elsewhere.url}/there?x=1")
        assert elsewhere.connections == 0
    assert place.hub.count() == 1


def test_a_redirects_location_that_has_the_credential_in_it_is_left_out(place: Place) -> None:
    place.hub.inject(RedirectTo(f"https://evil.example/?token={OWN}"), "/agents")
    answer = ask(place.daemon, "GET", "/agents", headers={"Authorization": f"Bearer {OWN}"})
    assert answer.status == 302
    assert "location" not in answer.headers
    assert OWN.encode() not in answer.body


@pytest.mark.parametrize("declared", [True, False])
def test_an_answer_over_the_size_limit_is_broken_off_and_nothing_of_it_is_kept(tmp_path: Path, declared: bool) -> None:
    """A client must not take a part for the whole, so the answer never gets an end."""
    with HubServer(Hub()) as server:
        home = Home.make(tmp_path / "home", server.url, settings={"hub": {"size_limit": "64KiB"}})
        with home.daemon() as daemon:
            before = {path: path.stat().st_size for path in home.data.rglob("*") if path.is_file()}
            assert ask(daemon, "GET", "/agents").status == 401
            server.hub.inject(HugeBody(1024 * 1024, declared), "/agents")
            with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                ask(daemon, "GET", "/agents")
            after = {path: path.stat().st_size for path in home.data.rglob("*") if path.is_file()}
            assert after == before
            server.hub.heal()
            assert ask(daemon, "GET", "/agents").status == 401, "the next one is answered as ever"


def test_a_hub_that_breaks_off_does_not_look_like_one_that_has_ended(wire: tuple[RawHub, RunningDaemon]) -> None:
    hub, daemon = wire
    hub.answer_with(b"HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked", b"5\r\ndata:\r\n")
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        ask(daemon, "POST", CHAT, b"{}")


# A Hub that is away


def test_a_hub_that_hangs_is_not_waited_for(place: Place) -> None:
    """`hub.timeout` is 1 s here: within that, and the time to connect, there is an answer."""
    for path, fault in (("/agents", Hang()), ("/ide/mcp-auth", Hang()), ("/ide/mcp-auth", Hang(after_head=True))):
        with place.hub.failing(fault):
            begun = time.monotonic()
            answer = ask(place.daemon, "GET", path, headers={"Authorization": f"Bearer {DEMO_KEY}"})
            took = time.monotonic() - begun
        assert answer.status == 503
        assert "message" in json.loads(answer.body)
        assert took < 4


def test_with_the_hub_dead_everything_passed_through_is_503_at_once(tmp_path: Path) -> None:
    with HubServer(Hub()) as server:
        home = Home.make(tmp_path / "home", server.url)
        home.login(DEMO_KEY)
    with home.daemon() as daemon:
        for method, path in (
            ("POST", CHAT),
            ("GET", "/agents"),
            ("GET", "/proxy/context/drive/list"),
            ("GET", "/ide/mcp-auth"),
            ("GET", "/ide/get-models-add-on-checkout-url"),
            ("POST", "/auth/refresh"),
        ):
            begun = time.monotonic()
            answer = ask(daemon, method, path, b"{}" if method == "POST" else None, {"Authorization": f"Bearer {OWN}"})
            assert time.monotonic() - begun < 1
            assert answer.status == 503
            assert answer.headers["content-type"].startswith("application/json")
            assert not any(word in answer.body.decode() for word in LOGS_OUT)
            assert json.loads(answer.body)["message"]


# Refreshing a sign-in


def refresh(daemon: RunningDaemon, token: str, *, stranger: bool = False, **headers: str) -> Answer:
    body = json.dumps({"refreshToken": token}).encode()
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return ask(daemon, "POST", "/auth/refresh", body, sent, stranger=stranger)


def keeps_the_session(answer: Answer) -> None:
    assert answer.status == 503
    assert json.loads(answer.body)["message"]
    assert not any(word.lower() in answer.body.decode().lower() for word in LOGS_OUT)


def test_the_hubs_own_answers_to_a_refresh_are_handed_on(place: Place) -> None:
    """A new pair; and its own 401, for then the session has really ended."""
    place.hub.refresh_tokens.add("refresh-canary-one")
    fresh = refresh(place.daemon, "refresh-canary-one")
    assert fresh.status == 200
    said = json.loads(fresh.body)
    assert {"accessToken", "refreshToken", "user"} <= said.keys()
    again = refresh(place.daemon, "refresh-canary-one")
    assert (again.status, json.loads(again.body)) == (401, {"message": "Invalid refresh token"})
    assert [seen.authorization_kind for seen in place.hub.requests] == ["none", "none"]
    assert refresh(place.daemon, said["refreshToken"]).status == 200


@pytest.mark.parametrize(
    "fault",
    [
        Html(),
        Status(500),
        Status(503, "Unauthorized", retry_after=5),
        Status(403, "Unauthorized"),
        Status(401, None),
        Status(404, "401"),
        ErrorPage(502),
        ErrorPage(401),
        RedirectTo("https://login.hotel.example/401"),
        Hang(),
        Hang(after_head=True),
    ],
    ids=repr,
)
def test_whatever_else_answers_a_refresh_does_not_end_the_session(place: Place, fault: object) -> None:
    """A captive portal's 200, a proxy's 401 page, an error of the Hub: the same 503 as if the network were away."""
    place.hub.inject(fault, "/auth/refresh")  # type: ignore[arg-type]
    keeps_the_session(refresh(place.daemon, DEMO_REFRESH_TOKEN))


def test_our_own_refusals_of_a_refresh_do_not_end_the_session(place: Place) -> None:
    """Whatever we don't like about the request, in no spelling of the path does the answer look like the Hub's."""
    for headers in (
        {"Host": "evil.example"},
        {"Cookie": "a=b"},
        {"Origin": "https://evil.example"},
        {"Forwarded": "for=1.2.3.4"},
        {"User_Agent": "Mozilla/5.0"},
        {"Upgrade": "websocket"},
        {"Authorization": f"Bearer {DEMO_KEY}"},
    ):
        keeps_the_session(refresh(place.daemon, DEMO_REFRESH_TOKEN, **headers))
    assert place.hub.requests == []
    for path in ("//auth/refresh", "/auth/refresh/", "/auth/refresh?x=1"):
        answer = ask(place.daemon, "POST", path, b"{}", {"Host": "evil.example"})
        keeps_the_session(answer)
    assert place.hub.requests == []


@needs_strangers
def test_another_users_refresh_is_refused_and_his_session_kept(place: Place) -> None:
    keeps_the_session(refresh(place.daemon, DEMO_REFRESH_TOKEN, stranger=True))
    assert place.hub.requests == []


@needs_strangers
def test_another_user_is_passed_through_nowhere(place: Place) -> None:
    for path in ("/agents", "/ide/mcp-auth", "/model-proxy/v1/models"):
        answer = ask(place.daemon, "GET", path, headers={"Authorization": f"Bearer {OWN}"}, stranger=True)
        assert answer.status == 403
    assert place.hub.requests == []


def test_no_token_is_in_a_log_or_on_the_disk(place: Place) -> None:
    """At log level debug, with requests that worked and requests that did not."""
    place.hub.refresh_tokens.add("refresh-canary-two")
    said = json.loads(refresh(place.daemon, "refresh-canary-two").body)
    refresh(place.daemon, "refresh-canary-wrong")
    ask(place.daemon, "POST", "/agents?token=query-canary", b"body-canary", {"Authorization": f"Bearer {OWN}"})
    with place.hub.failing(Hang()):
        refresh(place.daemon, "refresh-canary-hung")
    words = [said["accessToken"], said["refreshToken"], "refresh-canary", OWN, "query-canary", "body-canary", DEMO_KEY]
    kept = b"".join(path.read_bytes() for path in place.home.path.rglob("*") if path.is_file())
    assert b"listening on" in kept
    for word in words:
        assert word.encode() not in kept, word
