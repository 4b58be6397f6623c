"""A running daemon takes a changed config over, or refuses it whole."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.host.installed import _LOAD, Load, free_port
from tests.running import Home, RunningDaemon, eventually

from hublet.config.loading import parse_config
from hublet.demo.server import HubServer
from hublet.reload import apart, differences


def test_what_differs_and_what_waits() -> None:
    """The cache and its key stay what they are under an open store; everything else is taken over."""
    old = parse_config("", "x")
    new = parse_config("serve:\n  wait: 1s\ncache:\n  directory: /x\nkeys:\n  file: /y/z\nsync:\n  every: 1h\n", "x")
    assert differences(old, old) == frozenset()
    assert differences(old, new) == {"serve.wait", "cache.directory", "keys.file", "sync.every"}
    live, pending = apart(old, new)
    assert live == replace(new, cache=old.cache, keys=old.keys)
    assert pending == (
        "cache.directory: takes effect after a restart",
        "keys.file: takes effect after a restart",
    )


@contextmanager
def load(home: Home, port: int) -> Iterator[Load]:
    result = Load()
    words = home.command(sys.executable, "-c", _LOAD, str(port))
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=home.env())
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        yield result
        said, _ = process.communicate(b"", timeout=60)
        result.__dict__.update(json.loads(said))
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def daemon(logged_in: Home) -> Iterator[RunningDaemon]:
    with logged_in.daemon() as running:
        yield running


def says(daemon: RunningDaemon, words: str) -> None:
    eventually(lambda: words in daemon.log.read_text())


def test_a_good_file_and_a_bad_one_under_load(daemon: RunningDaemon, hub_server: HubServer) -> None:
    """By SIGHUP and by the watch; status names each problem with its line, and forgets them when they are gone."""
    home = daemon.home
    with load(home, daemon.port) as result:
        home.configure(hub_server.url, settings={"serve": {"wait": "3s"}})
        daemon.process.send_signal(signal.SIGHUP)
        says(daemon, "config: serve.wait changed")
        good = home.config.read_text()
        threading.Event().wait(1.2)  # watching has begun
        home.config.write_text(good + "hob:\n  x: 1\nlog:\n  level: loud\n")
        says(daemon, "the changed config is refused as a whole")
        says(daemon, "hob: unknown key: did you mean hub?")
        says(daemon, "log.level: must be")
        home.config.unlink()
        says(daemon, "there is no such file any more")
        home.configure(hub_server.url, settings={"serve": {"wait": "4s"}})
        eventually(lambda: daemon.log.read_text().count("config: serve.wait changed") == 2)
        assert json.loads(home.hublet("status", "--json").stdout)["config_problems"] == []
    result.assert_all_answered()


def test_another_port_without_losing_a_request(daemon: RunningDaemon, hub_server: HubServer) -> None:
    """The new one answers before the old one ends; a port that is taken is a problem of the file, and nothing moves."""
    home, old, new = daemon.home, daemon.port, free_port()
    with load(home, old) as result:
        home.configure(hub_server.url, port=new)
        daemon.process.send_signal(signal.SIGHUP)
        says(daemon, f"listening on http://localhost:{new} from now on")
        daemon.port = new
        assert daemon.ask("GET", "/ide/list-assistants").status == 200
        assert f"http://localhost:{new}/icons/" in daemon.ask("GET", "/ide/list-assistants").body.decode()
    assert {failure.partition("(")[0] for failure in result.failures} <= {"ConnectionRefusedError"}
    assert set(result.counts) == {"200"}
    with pytest.MonkeyPatch.context():
        import socket

        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            home.configure(hub_server.url, port=taken.getsockname()[1], settings={"serve": {"wait": "9s"}})
            daemon.process.send_signal(signal.SIGHUP)
            says(daemon, "is in use")
    status = json.loads(home.hublet("status", "--json").stdout)
    assert status["port"] == new
    assert "is in use" in status["config_problems"][0]
    assert "serve.wait" not in daemon.log.read_text()


def test_another_hub_needs_another_login_and_the_first_one_comes_back(
    daemon: RunningDaemon, hub_server: HubServer
) -> None:
    """The key is bound to the Hub that it was stored for, also when that changes under a running daemon."""
    home = daemon.home
    home.configure("http://localhost:9")
    daemon.process.send_signal(signal.SIGHUP)
    says(daemon, "hub.url changed")
    status = json.loads(home.hublet("status", "--json").stdout)
    assert (status["state"], status["hub"]) == ("logged-out", "http://localhost:9")
    home.configure(hub_server.url)
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: json.loads(home.hublet("status", "--json").stdout)["state"] == "ok")


def test_what_cant_change_says_so(daemon: RunningDaemon, hub_server: HubServer, tmp_path: Path) -> None:
    """In the log; the store stays where it is."""
    home = daemon.home
    home.configure(hub_server.url, settings={"keys": {"file": str(tmp_path / "other" / "kek")}})
    daemon.process.send_signal(signal.SIGHUP)
    says(daemon, "keys.file: takes effect after a restart")
    assert daemon.ask("GET", "/ide/list-assistants").status == 200
    pending = json.loads(home.hublet("status", "--json").stdout)["config_pending"]
    assert pending == ["keys.file: takes effect after a restart"]
