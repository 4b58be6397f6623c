"""One daemon whose Hub comes and goes, is wrong or lies: what was good is served again and again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hublet.demo.faults import (
    EmptyList,
    ErrorPage,
    GzipBomb,
    Hang,
    Html,
    NullBody,
    RedirectTo,
    RedirectWithin,
    Status,
    Truncated,
    WrongShape,
)
from hublet.demo.hub import Hub
from hublet.demo.reply import Fault
from hublet.demo.server import HubServer
from tests.daemon.asking import (
    EVERYTHING,
    ask_all,
    bodies,
    cached,
    copied,
    message,
    unlisted,
    wait_for_pass,
)
from tests.running import Home, RunningDaemon


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, template: Home) -> Iterator[RunningDaemon]:
    """A daemon, logged in and synced; with little patience and little room for what the Hub says."""
    place = tmp_path_factory.mktemp("shared")
    place.chmod(0o755)
    settings = {"hub": {"timeout": "1s", "size_limit": "1MiB"}, "sync": {"parallel": 16}}
    with copied(template, place / "home", settings).daemon() as daemon:
        wait_for_pass(daemon)
        yield daemon


def back(shared: RunningDaemon, hub: HubServer) -> None:
    """The Hub is up again, and the daemon knows: for some seconds it tells waiting clients at once that it is not."""
    hub.start(hub.port)
    assert shared.home.hublet("sync").returncode == 0


def test_ipv4_and_ipv6_both_answer(shared: RunningDaemon) -> None:
    for host in ("127.0.0.1", "::1"):
        assert bodies(ask_all(shared, host=host)) == bodies(ask_all(shared))


def test_an_assistant_never_seen_is_asked_for_and_then_cached(shared: RunningDaemon, online: HubServer) -> None:
    path = unlisted(online.hub)
    first, second = ask_all(shared, [("GET", path, None)] * 2)
    assert (first.status, second.status) == (200, 200)
    assert "fwd=uri-miss" in first.headers["cache-status"]
    assert cached(second)
    assert online.hub.count(path) == 1
    online.stop()
    (third,) = ask_all(shared, [("GET", path, None)])
    assert third.body == first.body
    back(shared, online)


def test_offline_what_was_never_seen_is_unknown_and_not_absent(shared: RunningDaemon, online: HubServer) -> None:
    """503 for an assistant: nobody knows whether it exists. 404 for an organization that is not the account's."""
    online.stop()
    assistant, list_, unknown = ask_all(
        shared,
        [
            ("GET", "/ide/get-assistant/acme/never-asked", None),
            ("GET", "/ide/list-assistants?alwaysUseProxy=true", None),
            ("GET", "/ide/list-assistants?organizationId=org_nobody", None),
        ],
    )
    assert (assistant.status, list_.status, unknown.status) == (503, 503, 404)
    assert "the Hub did not answer" in message(assistant)
    assert message(unknown) == "Organization not found"
    back(shared, online)


def test_the_hubs_refusal_of_one_assistant_is_kept_and_told_again_offline(
    shared: RunningDaemon, online: HubServer
) -> None:
    asked = [
        ("GET", "/ide/get-assistant/dana/no-such-thing", None),
        ("GET", "/ide/get-assistant/dana/night-owl?organizationId=org_initech", None),
    ]
    first = ask_all(shared, asked)
    assert [answer.status for answer in first] == [404, 403]
    assert [message(answer) for answer in first] == [
        "Assistant not found",
        "This assistant is not allowed in this organization",
    ]
    online.stop()
    again = ask_all(shared, asked)
    assert bodies(again) == bodies(first)
    assert all(cached(answer) for answer in again)
    back(shared, online)


@pytest.mark.parametrize(
    ("fault", "prefix"),
    [
        pytest.param(Html(), "", id="html"),
        pytest.param(ErrorPage(), "", id="error-page"),
        pytest.param(Hang(), "/ide/list-", id="hang"),
        pytest.param(Truncated(), "", id="truncated"),
        pytest.param(WrongShape(), "", id="wrong-shape"),
        pytest.param(NullBody(), "", id="null"),
        pytest.param(EmptyList(), "", id="empty-list"),
        pytest.param(GzipBomb(16 * 1024 * 1024), "/ide/list-", id="gzip-bomb"),
        pytest.param(Status(500), "", id="500"),
        pytest.param(Status(401, "Unauthorized"), "", id="401"),
        pytest.param(Status(429, "Too many requests", retry_after=60), "", id="429"),
        pytest.param(Status(404, "User not found"), "", id="404-user"),
        pytest.param(Status(404, None), "", id="404-empty"),
    ],
)
def test_whatever_the_hub_says_the_last_good_answers_stay(
    shared: RunningDaemon, online: HubServer, fault: Fault, prefix: str
) -> None:
    """A pass over a Hub with one fault; every question still gets its answer, and a healed Hub is believed again."""
    before = ask_all(shared, EVERYTHING)
    assert {answer.status for answer in before} == {200}
    with online.hub.failing(fault, prefix):
        done = shared.home.hublet("sync")
        assert done.returncode in (0, 12), done.stderr.decode()
        assert done.stderr, "nothing was said of the fault"
        assert bodies(ask_all(shared, EVERYTHING)) == bodies(before)
    done = shared.home.hublet("sync")
    assert done.returncode == 0, done.stderr.decode()
    assert re.match(rb"(\d+) of \1 questions answered", done.stdout), done.stdout + done.stderr
    assert bodies(ask_all(shared, EVERYTHING)) == bodies(before)


@pytest.mark.parametrize("code", [302, 308])
def test_the_key_never_follows_a_redirect_elsewhere(shared: RunningDaemon, online: HubServer, code: int) -> None:
    """Not to another port of the same machine, and not to the same port under another name."""
    before = ask_all(shared, EVERYTHING)
    with HubServer(Hub()) as other:
        same_port = f"http://localhost:{online.port}/elsewhere"
        for url in (f"{other.url}/ide/policy", same_port):
            with online.hub.failing(RedirectTo(url, code), "/ide/"):
                done = shared.home.hublet("sync")
            assert "redirect to another origin" in done.stderr.decode()
        assert other.hub.requests == []
        assert online.hub.count("/elsewhere") == 0
        assert bodies(ask_all(shared, EVERYTHING)) == bodies(before)


def test_the_proof_that_these_tests_would_see_a_followed_redirect(shared: RunningDaemon, online: HubServer) -> None:
    """A redirect within the Hub is followed, key and all."""
    with online.hub.failing(RedirectWithin(), "/ide/policy"):
        assert shared.home.hublet("sync").returncode == 0
    (moved,) = [seen for seen in online.hub.requests if seen.target == "/moved/ide/policy"]
    assert moved.authorization_kind == "key"
