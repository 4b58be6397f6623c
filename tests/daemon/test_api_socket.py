"""serve.socket: the same API on a Unix socket, for our own user alone."""

from __future__ import annotations

import json
import signal
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.daemon.asking import CACHED, ask_all
from tests.running import Home, RunningDaemon, eventually

_ASK = """
import http.client, json, socket, sys
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
for method, path, body, headers in json.load(sys.stdin):
    connection = Unix("localhost")
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    print(json.dumps([response.status, response.read().hex()]), flush=True)
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    place = tmp_path_factory.mktemp("s") / "home"
    with HubServer(Hub()) as hub:
        home = Home.make(place, hub.url, settings={"serve": {"socket": "~/api/api.sock"}})
        home.login(DEMO_KEY)
        with home.daemon() as daemon:
            yield daemon
    assert not (place / "api" / "api.sock").exists()  # an ended daemon leaves none behind


def over(
    daemon: RunningDaemon, *asked: tuple[str, str, bytes | None], headers: Mapping[str, str] | None = None
) -> list[tuple[int, bytes]]:
    words = [(method, path, body.decode() if body else None, dict(headers or {})) for method, path, body in asked]
    path = str(daemon.home.path / "api" / "api.sock")
    done = daemon.home.python("-c", _ASK, path, input=json.dumps(words).encode())
    assert done.returncode == 0, done.stderr.decode()
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [(status, bytes.fromhex(body)) for status, body in found]


def test_the_socket_is_ours_alone(daemon: RunningDaemon) -> None:
    """0600 in a directory of 0700, made when it was missing."""
    directory: Path = daemon.home.path / "api"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    status = (directory / "api.sock").stat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_uid == daemon.home.uid or daemon.home.command("x") == ["x"]


def test_it_answers_as_the_port_does(daemon: RunningDaemon) -> None:
    """Byte for byte, and whatever the Host header says."""
    by_port = [(answer.status, answer.body) for answer in ask_all(daemon, CACHED)]
    assert over(daemon, *CACHED) == by_port
    assert over(daemon, *CACHED, headers={"Host": "evil.example"}) == by_port
    assert over(daemon, ("GET", "/healthz", None))[0][0] == 200


def test_what_no_client_sends_is_refused_and_counted_here_too(daemon: RunningDaemon) -> None:
    """The guard without its Host rule; counters and the audit log know the door."""
    for header in ("Origin", "Via", "Cookie", "Sec-Fetch-Site"):
        assert over(daemon, ("GET", "/ide/policy", None), headers={header: "canary"})[0][0] == 403
    counters = json.loads(daemon.home.hublet("status", "--json").stdout)["counters"]
    assert {f"refused:{rule}": counters[f"refused:{rule}"] for rule in ("origin", "forwarded", "cookie", "sec-fetch")}
    lines = [json.loads(line) for line in daemon.home.hublet("audit", "--json").stdout.splitlines()]
    refused = {line["detail"] for line in lines if line["door"] == "socket" and line["outcome"] == "refused"}
    assert {"origin", "forwarded", "cookie", "sec-fetch"} <= refused
    assert all(line["pid"] and line["program"] for line in lines if line["door"] == "socket")


@pytest.mark.parametrize("directory", ["open", "file"])
def test_a_place_that_is_not_private_is_refused_at_the_start(home: Home, directory: str) -> None:
    """A directory that others can use, or something else under that name: a sentence, and no socket."""
    place = home.path / "shared"
    place.mkdir()
    place.chmod(0o755)
    if directory == "file":
        place.chmod(0o700)
        (place / "api.sock").write_text("mine")
    home.configure("http://127.0.0.1:1", settings={"serve": {"socket": str(place / "api.sock")}})
    done = home.hublet("run", timeout=60)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert str(place).encode() in done.stderr
    if directory == "file":
        assert (place / "api.sock").read_text() == "mine"


def test_another_socket_waits_for_a_restart_and_is_said_to(home: Home) -> None:
    """Status names the key; the socket that there is goes on answering."""
    home.configure("http://127.0.0.1:1", settings={"serve": {"socket": "~/api/api.sock"}})
    with home.daemon() as daemon:
        home.configure("http://127.0.0.1:1", settings={"serve": {"socket": "~/api/other.sock"}})
        daemon.process.send_signal(signal.SIGHUP)
        said = "serve.socket: takes effect after a restart"
        eventually(lambda: said in json.loads(home.hublet("status", "--json").stdout)["config_pending"])
        assert over(daemon, ("GET", "/healthz", None))[0][0] == 200
