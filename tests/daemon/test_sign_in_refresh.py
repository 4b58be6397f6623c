"""Refreshing a sign-in through a real daemon: only the Hub itself can end a session, and no token is kept anywhere."""

from __future__ import annotations

import json

import pytest

from hublet.demo.data import DEMO_KEY, DEMO_REFRESH_TOKEN
from hublet.demo.faults import ErrorPage, Hang, Html, RedirectTo, Status
from tests.daemon.passing import LOGS_OUT, OWN, Place, needs_strangers
from tests.daemon.visitor import ask
from tests.running import Answer, RunningDaemon


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
