"""How requests are passed through to the Hub by a real daemon: streaming both ways, what comes back, a Hub that is
away."""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.faults import Hang, HugeBody, RedirectTo
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.daemon.passing import CHAT, LOGS_OUT, OWN, Place, head_of, post
from tests.daemon.visitor import RawHub, Visitor, ask, raw_hub
from tests.running import Home, RunningDaemon, eventually

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
            assert time.monotonic() - begun < 10, "it waited for the Hub (hub.timeout is 30 s)"
            assert answer.status == 503
            assert answer.headers["content-type"].startswith("application/json")
            assert not any(word in answer.body.decode() for word in LOGS_OUT)
            assert json.loads(answer.body)["message"]
