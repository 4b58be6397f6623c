"""The daemon's life on a real machine: restarts, an end in the middle of something, and a Hub that is dead or lies."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hublet.demo.assistants import chat
from hublet.demo.data import DEMO_KEY
from hublet.demo.faults import (
    EmptyList,
    ErrorPage,
    GzipBomb,
    Hang,
    Html,
    NullBody,
    RedirectTo,
    RedirectWithin,
    SlowDrip,
    Status,
    Truncated,
    WrongShape,
)
from hublet.demo.hub import Hub
from hublet.demo.reply import Fault
from hublet.demo.server import HubServer
from tests.daemon.asking import (
    CACHED,
    EVERYTHING,
    answers,
    ask_all,
    bodies,
    cached,
    children,
    copied,
    free_port,
    message,
    start_asking,
    status,
)
from tests.running import HUBLET, Answer, Home, RunningDaemon, eventually

UNLISTED = "acme/wanderer"


def unlisted(hub: Hub) -> str:
    """An assistant that is in no list, and the path to ask for it."""
    with hub.changing() as world:
        world.sources[UNLISTED] = chat("Wanderer", "http://localhost:1/v1")
    return f"/ide/get-assistant/{UNLISTED}"


@pytest.fixture(scope="module")
def hub_of_all() -> Iterator[HubServer]:
    with HubServer(Hub()) as server:
        yield server
    assert server.crashes == []


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, hub_of_all: HubServer) -> Home:
    """A home that is logged in and synced, to be copied: quicker than a login for each test."""
    home = Home.make(tmp_path_factory.mktemp("template") / "home", hub_of_all.url)
    home.path.parent.chmod(0o755)
    home.login(DEMO_KEY)
    return home


@pytest.fixture
def ready(tmp_path: Path, template: Home) -> Home:
    """A home that is logged in and synced."""
    return copied(template, tmp_path / "home")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, template: Home) -> Iterator[RunningDaemon]:
    """A daemon, logged in and synced; with little patience and little room for what the Hub says."""
    place = tmp_path_factory.mktemp("shared")
    place.chmod(0o755)
    settings = {"hub": {"timeout": "1s", "size_limit": "1MiB"}, "sync": {"parallel": 16}}
    with copied(template, place / "home", settings).daemon() as daemon:
        wait_for_pass(daemon)
        yield daemon


@pytest.fixture
def online(hub_of_all: HubServer) -> Iterator[HubServer]:
    """The Hub, up and healed before and after, with all requests so far forgotten."""
    hub_of_all.hub.forget_requests()
    yield hub_of_all
    hub_of_all.hub.heal()
    if not hub_of_all.running:
        hub_of_all.start(hub_of_all.port)


def is_stale(answer: Answer) -> bool:
    return "detail=stale" in answer.headers["cache-status"]


def wait_for_pass(daemon: RunningDaemon) -> None:
    eventually(lambda: " hublet: pass: " in daemon.log.read_text())


# Restarts


def test_after_a_restart_with_a_dead_hub_everything_is_served_again(ready: Home, online: HubServer) -> None:
    """All seven cached operations byte for byte, with an age that grows, said to be hits; and stale, unless it is good
    for a day."""
    port = free_port()
    ready.configure(online.url, port=port)
    with ready.daemon() as daemon:
        before = ask_all(daemon, EVERYTHING)
        assert [answer.status for answer in before] == [200] * len(EVERYTHING)
        assert daemon.stop() == 0
    online.stop()
    ready.configure(online.url, port=port, settings={"sync": {"every": "1s"}})
    time.sleep(1.1)
    with ready.daemon() as daemon:
        after = ask_all(daemon, EVERYTHING)
        assert bodies(after) == bodies(before)
        assert [answer.headers["etag"] for answer in after] == [answer.headers["etag"] for answer in before]
        assert all(map(cached, after))
        fresh = [path for (_, path, _), answer in zip(EVERYTHING, after, strict=True) if not is_stale(answer)]
        assert fresh == ["/ide/free-trial-status", "/ide/sync-secrets"], "the trial's status, and a secret with a value"
        ages = [int(answer.headers["age"]) for answer in after]
        assert min(ages) >= 1
        time.sleep(1.1)
        later = [int(answer.headers["age"]) for answer in ask_all(daemon, EVERYTHING)]
        assert all(new > old for new, old in zip(later, ages, strict=True))


def test_a_killed_daemon_leaves_nothing_in_the_way(ready: Home, online: HubServer) -> None:
    """After SIGKILL a command opens the store although the dead daemon's socket is still there; so does a daemon."""
    port = free_port()
    ready.configure(online.url, port=port)
    with ready.daemon() as daemon:
        before = ask_all(daemon)
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    assert (ready.runtime / "admin.sock").is_socket()
    assert status(ready)["running_daemon"] is False
    online.stop()
    with ready.daemon() as daemon:
        assert bodies(ask_all(daemon)) == bodies(before)
        assert status(ready)["running_daemon"] is True


def test_an_idle_daemon_ends_at_once(ready: Home) -> None:
    with ready.daemon() as daemon:
        wait_for_pass(daemon)
        started = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - started < 2
        assert not (ready.runtime / "admin.sock").exists() or status(ready)["running_daemon"] is False


def test_sigterm_answers_what_is_in_work(ready: Home, online: HubServer) -> None:
    """A client that waits for the Hub when the daemon is told to end still gets its answer; new ones are not let in."""
    path = unlisted(online.hub)
    with ready.daemon() as daemon:
        wait_for_pass(daemon)
        with online.hub.failing(SlowDrip(bytes_per_second=900), containing=UNLISTED):
            asking = start_asking(daemon, [("GET", path, None)])
            eventually(lambda: online.hub.count(path))
            daemon.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", daemon.port)):
                pass
            assert daemon.process.poll() is None
            (answer,) = answers(asking)
        assert answer.status == 200
        assert daemon.process.wait(10) == 0


def test_sigterm_does_not_wait_for_a_pass_that_hangs(ready: Home, online: HubServer) -> None:
    """It is ended with the daemon, and so is its worker."""
    with online.hub.failing(Hang(), "/ide/"), ready.daemon() as daemon:
        eventually(lambda: online.hub.count("/ide/"))
        (worker,) = children(daemon.process.pid)
        started = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - started < 3
        assert not Path(f"/proc/{worker}").exists()


def test_a_worker_that_is_killed_costs_only_its_pass(ready: Home, online: HubServer) -> None:
    """The daemon says so, serves as before, and the next pass is whole."""
    with ready.daemon() as daemon:
        wait_for_pass(daemon)
        before = ask_all(daemon)
        with online.hub.failing(Hang(), "/ide/list-assistants"):
            online.hub.forget_requests()
            with subprocess.Popen(
                ready.command(*HUBLET, "sync"), env=ready.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as command:
                eventually(lambda: online.hub.count("/ide/list-assistants"))
                (worker,) = children(daemon.process.pid)
                os.kill(worker, signal.SIGKILL)
                said = b"".join(command.communicate(timeout=10)).decode()
        assert "the worker ended early" in said
        assert bodies(ask_all(daemon)) == bodies(before)
        done = ready.hublet("sync")
        assert done.returncode == 0
        assert re.match(rb"(\d+) of \1 questions answered", done.stdout)


# Nothing to serve


def test_without_key_and_cache_it_starts_and_takes_up_the_key_when_it_comes(home: Home) -> None:
    """503 with what to do, and after `hublet login` the answers, without a restart."""
    with home.daemon() as daemon:
        found = dict(zip([path for _, path, _ in CACHED], ask_all(daemon), strict=True))
        secrets = found.pop("/ide/sync-secrets")
        for path, answer in found.items():
            assert answer.status == 503, path
            assert "hublet login" in message(answer)
        # Never an error for the whole batch: clients would skip their own .env files.
        assert secrets.status == 200
        assert [each["found"] for each in secrets.json()] == [False, False]  # type: ignore[attr-defined]
        healthy, ready = ask_all(daemon, [("GET", "/healthz", None), ("GET", "/readyz", None)])
        assert (healthy.status, ready.status) == (200, 503)
        home.login(DEMO_KEY)
        assert all(answer.status == 200 for answer in ask_all(daemon, EVERYTHING))
        (ready,) = ask_all(daemon, [("GET", "/readyz", None)])
        assert ready.json() == {"status": "ready", "age": pytest.approx(0, abs=5)}


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_taken_port_ends_it_with_a_sentence(home: Home, family: socket.AddressFamily, address: str) -> None:
    """Either family's: clients say `localhost`, so both have to be ours."""
    with socket.create_server((address, 0), family=family) as somebody:
        port = somebody.getsockname()[1]
        home.configure("http://127.0.0.1:9", port=port)
        done = home.hublet("run")
    assert done.returncode == 8
    said = done.stderr.decode()
    assert said.startswith(f"hublet: port {port} is in use")
    assert "hint: " in said
    assert "Traceback" not in said


def test_a_second_daemon_on_the_same_store_is_refused(ready: Home) -> None:
    with ready.daemon() as daemon:
        done = ready.hublet("run")
        assert done.returncode == 4
        assert f"another hublet (process {daemon.process.pid})" in done.stderr.decode()
        assert ask_all(daemon)[0].status == 200


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def _flip_wrapped_key(home: Home) -> None:
    database = home.data / "hublet.sqlite3"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        ((value,),) = connection.execute("SELECT value FROM header WHERE name = 'wrapped_dek'").fetchall()
    _flip(database, database.read_bytes().index(value) + 20)


def _break_database(home: Home) -> None:
    _flip(home.data / "hublet.sqlite3", 3)


def _wrong_key(home: Home) -> None:
    (home.path / "key" / "kek").write_bytes(bytes(32))


def _no_key(home: Home) -> None:
    (home.path / "key" / "kek").unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_flip_wrapped_key, "header|changed|key"),
        (_break_database, "not a database|damaged"),
        (_wrong_key, "is not this cache's"),
        (_no_key, "its key is not"),
    ],
)
def test_a_store_that_cannot_be_opened_is_left_alone_and_said_so(
    ready: Home, damage: Callable[[Home], None], reason: str
) -> None:
    """The daemon is up and answers 503 with the reason; `hublet store reset` moves the store aside, whole."""
    damage(ready)
    database = ready.data / "hublet.sqlite3"
    broken = database.read_bytes()
    with ready.daemon() as daemon:
        for answer in ask_all(daemon):
            assert answer.status == 503
            assert re.search(reason, message(answer)), message(answer)
            assert "hublet store reset" in message(answer)
        said = ready.hublet("status").stdout.decode()
        assert "unavailable" in said
        assert re.search(reason, said)
        refused = ready.hublet("sync")
        assert refused.returncode not in (0, 12)
        assert refused.stderr.startswith(b"hublet: ")
        assert b"Traceback" not in refused.stderr
        assert daemon.stop() == 0
    assert database.read_bytes() == broken


def test_a_reset_moves_the_store_aside_whole_and_begins_anew(ready: Home) -> None:
    """Not under a daemon that uses it; under one that could not open it, which begins anew at the next command."""
    database = ready.data / "hublet.sqlite3"
    with ready.daemon():
        assert ready.hublet("store", "reset", "--yes").returncode == 4
    _wrong_key(ready)
    broken = database.read_bytes()
    with ready.daemon() as daemon:
        done = ready.hublet("store", "reset", "--yes")
        assert done.returncode == 0, done.stderr.decode()
        assert "begins a new one" in done.stdout.decode()
        ready.login(DEMO_KEY)
        assert ask_all(daemon)[0].status == 200
    assert (ready.data / "aside-1" / "hublet.sqlite3").read_bytes() == broken
    with ready.daemon() as daemon:
        assert ask_all(daemon)[0].status == 200


# One daemon whose Hub comes and goes


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
