"""The daemon's life on a real machine: restarts, an end in the middle of something, and a Hub that is dead or lies."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.faults import (
    Hang,
    SlowDrip,
)
from hublet.demo.server import HubServer
from tests.daemon.asking import (
    CACHED,
    EVERYTHING,
    UNLISTED,
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
    unlisted,
    wait_for_pass,
)
from tests.running import HUBLET, Answer, Home, eventually


@pytest.fixture
def ready(tmp_path: Path, template: Home) -> Home:
    """A home that is logged in and synced."""
    return copied(template, tmp_path / "home")


def is_stale(answer: Answer) -> bool:
    return "detail=stale" in answer.headers["cache-status"]


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
