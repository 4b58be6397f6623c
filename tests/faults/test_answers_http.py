"""What a client of a real daemon gets while its Hub, or whatever stands in its place, answers nonsense.

Each fault: the demo Hub with it on a real port, a pass by a real worker, the clock put forward beyond freshness; then
every question again, over real sockets. The last good body has to come, byte for byte, and has to say that it is old.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.daemon.asking import EVERYTHING, bodies
from tests.faults.hours_later import INTERVAL, Later, daemon_of, stale
from tests.running import Answer, Home

from hublet.demo import faults
from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.reply import Fault
from hublet.demo.server import HubServer

DOWNLOAD = ("GET", "/v0/anthropic/claude-sonnet-4/latest/download", None)
QUESTIONS = (*EVERYTHING, ("GET", "/registry/v1/anthropic/claude-sonnet-4/latest", None), DOWNLOAD)
HUB = "the Hub asked to wait"

BAD: dict[str, tuple[Fault, str]] = {
    "captive portal: 200 and a page": (faults.Html(), "it is not JSON"),
    "captive portal: redirect off the origin": (
        faults.RedirectTo("http://portal.invalid/login"),
        "a redirect to another origin",
    ),
    "redirect loop within the origin": (faults.RedirectTo("/ide/policy"), "more redirects than a Hub needs"),
    "redirect to nonsense": (faults.RedirectTo("http://[::1"), "is not HTTP"),
    "proxy's error page": (faults.ErrorPage(502), "the Hub answered 502"),
    "proxy's 403 page": (faults.ErrorPage(403), "it is not JSON"),
    "truncated body": (faults.Truncated(), "the answer was cut off"),
    "Content-Length too long": (faults.WrongLength(+7), "the answer was cut off"),
    "Content-Length too short": (faults.WrongLength(-7), "can't be read"),
    "connection closed": (faults.Disconnect(), "the answer was cut off"),
    "connection reset": (faults.Reset(), "the connection broke"),
    "empty body": (faults.Empty(), "it is not JSON"),
    "null": (faults.NullBody(), ""),
    "gzip bomb": (faults.GzipBomb(16 * 1024 * 1024), "larger than hub.size_limit"),
    "gzip bomb in gzip": (faults.GzipBomb(16 * 1024 * 1024, layers=2), "not the one that was asked for"),
    "a body over hub.size_limit": (faults.HugeBody(4 * 1024 * 1024), "larger than hub.size_limit"),
    "the same, its length not told": (faults.HugeBody(4 * 1024 * 1024, declared=False), "larger than hub.size_limit"),
    "duplicate keys": (faults.DuplicateKeys(), "an object says a key twice"),
    "nested 100,000 levels deep": (faults.DeepNesting(), "it is nested deeper than 254 levels"),
    "nested 300 levels deep": (faults.DeepNesting(300), "it is nested deeper than 254 levels"),
    "NaN": (faults.NaN(), "it is not JSON"),
    "Infinity": (faults.NaN(b"-Infinity"), "it is not JSON"),
    "invalid UTF-8": (faults.NotUtf8(), "it is not JSON"),
    "lone surrogate": (faults.LoneSurrogate(), "it is not JSON"),
    "wrong type at the top": (faults.WrongShape(), ""),
    "everything listed twice": (faults.Twice(), "the same"),
    "429 storm": (faults.Status(429, "Too many requests", retry_after=120), "the Hub asked to wait"),
    "503 storm with a date": (
        faults.Status(503, "Busy", retry_after="Wed, 21 Oct 2099 07:28:00 GMT"),
        "the Hub asked to wait",
    ),
    "500": (faults.Status(500), "the Hub answered 500"),
    "410 everywhere": (faults.Status(410, "This Hub is closed"), "quarantined"),
    "404 everywhere": (faults.Status(404, "Assistant not found"), "quarantined"),
    "403 everywhere": (faults.Status(403, "Forbidden"), ""),
}
NEVER_ENDS: dict[str, tuple[Fault, str]] = {
    "a body that drips for ever": (faults.SlowDrip(5.0), "the answer timed out"),
    "a head that drips for ever": (faults.SlowDrip(5.0, head=True), "the answer timed out"),
    "silence": (faults.Hang(), "the answer timed out"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with HubServer(Hub()) as running:
        yield running
    assert running.crashes == []


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory, server: HubServer) -> Iterator[Later]:
    place = tmp_path_factory.mktemp("faults")
    place.chmod(0o755)
    settings = {"hub": {"timeout": "2s", "size_limit": "2MiB"}, "sync": {"parallel": 16}}
    home = Home.make(place / "home", server.url, settings=settings)
    home.login(DEMO_KEY)
    with daemon_of(home) as running:
        yield running


@pytest.fixture(scope="module")
def good(later: Later) -> list[Answer]:
    """What the Hub said while it was well."""
    later.ask(QUESTIONS)  # some are asked of the Hub now, for the first time
    said = later.ask(QUESTIONS)
    assert {answer.status for answer in said} == {200}
    assert later.sync() == (0, "")
    return said


def outlived(later: Later, server: HubServer, good: list[Answer], fault: Fault, why: str) -> None:
    """The fault everywhere, through a pass and an interval: nothing is lost, and nothing is passed off as fresh."""
    server.hub.forget_requests()
    with server.hub.failing(fault):
        _, said = later.sync()
        assert why in said or why in later.daemon.home.hublet("status").stdout.decode()
        assert said, "a pass without answers says so"
        later.put_forward(INTERVAL + 1)
        answers = later.ask(QUESTIONS)
    assert bodies(answers) == bodies(good)
    for answer in answers:
        assert stale(answer), answer.headers
        assert int(answer.headers["age"]) > INTERVAL
    assert server.hub.count() < 200, "nothing is asked over and over"


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "why"), BAD.values(), ids=BAD.keys())
def test_the_last_good_answer_is_served_as_old(
    later: Later, server: HubServer, good: list[Answer], fault: Fault, why: str
) -> None:
    """Whatever comes in place of an answer."""
    outlived(later, server, good, fault, why)


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "why"), NEVER_ENDS.values(), ids=NEVER_ENDS.keys())
def test_hub_timeout_is_the_limit_of_the_whole_answer(
    later: Later, server: HubServer, good: list[Answer], fault: Fault, why: str
) -> None:
    """Bytes that come now and then do not put it off."""
    outlived(later, server, good, fault, why)


@pytest.mark.slow
def test_a_healed_hub_is_believed_at_once(later: Later, server: HubServer, good: list[Answer]) -> None:
    """After all of the above; with redirects within the origin, which are followed."""
    with server.hub.failing(faults.RedirectWithin()):
        assert later.sync() == (0, "")
        answers = later.ask(QUESTIONS)
    assert bodies(answers) == bodies(good)
    assert not any(stale(answer) for answer in answers)
    assert "quarantine" not in later.daemon.home.hublet("status").stdout.decode()


@pytest.mark.slow
@pytest.mark.parametrize("years", [-30, +30])
def test_a_hub_whose_clock_is_years_off_changes_no_age(
    later: Later, server: HubServer, good: list[Answer], years: int
) -> None:
    """Its Date, and the dates in its icons' addresses, are its own: ages are by our clock."""
    server.hub.clock_skew = years * 365 * 86400.0
    try:
        assert later.sync() == (0, "")
        answers = later.ask(QUESTIONS)
        assert bodies(answers) == bodies(good)
        assert all(int(answer.headers["age"]) < 60 for answer in answers if answer.headers["age"] != "0")
        with server.hub.failing(faults.Status(503, "Busy", retry_after=30)):
            assert HUB in later.sync()[1]
        assert bodies(later.ask(QUESTIONS)) == bodies(good)
    finally:
        server.hub.clock_skew = 0.0
    assert later.sync() == (0, "")
