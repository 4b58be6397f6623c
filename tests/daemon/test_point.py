"""`hublet point` and `unpoint` as a person uses them: with a daemon, without one, with somebody else in its place."""

from __future__ import annotations

import http.server
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.daemon.visitor import ask
from tests.running import Home, RunningDaemon, eventually

pytestmark = pytest.mark.slow

NOT_RUNNING, USAGE = 9, 2
CN = ".config/environment.d/50-hublet.conf"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    with HubServer(Hub()) as server:
        home = Home.make(tmp_path_factory.mktemp("point") / "home", server.url)
        home.login(DEMO_KEY)
    with home.daemon() as daemon:
        yield daemon


def files(home: Home) -> set[str]:
    """What a person would see in the home, without hublet's own."""
    mine = ("config.yaml", "data", "run", "key", "daemon-")
    found = (str(path.relative_to(home.path)) for path in home.path.rglob("*"))
    return {path for path in found if not path.startswith(mine)}


def run(home: Home, *words: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    done = home.hublet(*words, env=env)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def test_cn_is_pointed_and_unpointed(daemon: RunningDaemon) -> None:
    """With the address of the daemon that runs, and what to do for the shells that are open."""
    home, before = daemon.home, files(daemon.home)
    line = f"CONTINUE_API_BASE=http://localhost:{daemon.port}/"
    dry = run(home, "point", "--dry-run")
    assert (dry.returncode, files(home)) == (0, before)
    assert f"{home.path / CN}: would write" in dry.stdout.decode()

    done = run(home, "point", "cn")
    assert done.returncode == 0
    assert f"{home.path / CN}: written" in done.stdout.decode()
    assert f"export {line}" in done.stdout.decode()
    assert (home.path / CN).read_text() == line + "\n"
    assert b"there already" in run(home, "point").stdout

    dry = run(home, "unpoint", "--dry-run")
    assert f"{home.path / CN}: would remove" in dry.stdout.decode()
    assert (home.path / CN).exists()
    undone = run(home, "unpoint")
    assert (undone.returncode, files(home)) == (0, before)
    assert f"{home.path / CN}: removed" in undone.stdout.decode()
    assert run(home, "unpoint").stdout == b"Nothing is pointed here.\n"


def test_a_file_changed_since_is_left_and_named(daemon: RunningDaemon) -> None:
    home = daemon.home
    run(home, "point")
    (home.path / CN).write_text("CONTINUE_API_BASE=http://localhost:9/\n")
    undone = run(home, "unpoint")
    assert f"{home.path / CN}: changed since" in undone.stdout.decode()
    assert (home.path / CN).read_text() == "CONTINUE_API_BASE=http://localhost:9/\n"
    (home.path / CN).unlink()
    assert run(home, "unpoint").returncode == 0


@pytest.mark.parametrize("client", ["vscode", "jetbrains"])
def test_an_ide_cant_be_pointed_at_another_port_than_its_own(daemon: RunningDaemon, client: str) -> None:
    """Nothing is written: the extension would ask port 3001, where nobody of ours is."""
    before = files(daemon.home)
    done = run(daemon.home, "point", client)
    assert done.returncode == USAGE
    assert b"3001" in done.stderr
    assert files(daemon.home) == before


def test_what_cant_be_written_is_one_sentence(daemon: RunningDaemon) -> None:
    (daemon.home.path / "blocked").write_text("a file")
    done = run(daemon.home, "point", XDG_CONFIG_HOME=str(daemon.home.path / "blocked"))
    assert done.returncode == USAGE
    assert b"blocked" in done.stderr
    (daemon.home.path / "blocked").unlink()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shells_line_is_printed_alone_and_works(daemon: RunningDaemon, shell: str) -> None:
    """So that it can be appended to a start-up file, or evaluated; a proxy in the environment is not asked."""
    before = files(daemon.home)
    done = run(daemon.home, "point", "--shell", shell, http_proxy="http://127.0.0.1:9")
    assert done.returncode == 0
    assert files(daemon.home) == before
    url = f"http://localhost:{daemon.port}/"
    if shell == "fish":
        assert done.stdout.decode() == f"set -gx CONTINUE_API_BASE {url}\n"
        return
    echoed = subprocess.run(
        ["sh", "-c", done.stdout.decode() + "printenv CONTINUE_API_BASE"], capture_output=True, check=True, timeout=10
    )
    assert echoed.stdout.decode() == url + "\n"


def test_check_says_what_would_work_without_the_hub(daemon: RunningDaemon) -> None:
    """Each client's first requests, asked for real; the Hub is dead already."""
    done = run(daemon.home, "point", "--check")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, lines
    assert len(lines) == 7
    assert all(line.startswith("ok ") and "cached," in line for line in lines)
    for word in ("policy", "organizations", "scope of the key", "default assistant", "personal", "acme", "initech"):
        assert sum(word in line for line in lines) == 1, word


def test_check_of_a_hublet_that_has_never_synced_fails(home: Home) -> None:
    with home.daemon():
        done = run(home, "point", "--check")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 1
    assert len(lines) == 5
    assert all(line.startswith("missing ") and "503" in line and "not logged in" in line for line in lines)


def test_check_finds_the_one_thing_that_is_missing(home: Home, hub_server: HubServer) -> None:
    """The Hub answers all but one question at login, then dies."""
    from hublet.demo.faults import Status

    with hub_server.hub.failing(Status(500), "/auth/scope"):
        home.login(DEMO_KEY)
    hub_server.stop()
    with home.daemon():
        done = run(home, "point", "--check")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 1
    assert [line.split()[0] for line in lines].count("missing") == 1
    assert any(line.startswith("missing") and "scope of the key" in line for line in lines)


def test_without_a_daemon_nothing_is_pointed(home: Home) -> None:
    """Clients would ask nobody, or worse."""
    before = files(home)
    for words in (("point",), ("point", "--shell", "bash"), ("point", "--check"), ("point", "--dry-run")):
        done = run(home, *words)
        assert done.returncode == NOT_RUNNING
        assert b"no hublet is running" in done.stderr
        assert done.stdout == b""
    assert files(home) == before
    assert run(home, "unpoint").returncode == 0, "taking it back needs no daemon"


class Impostor(http.server.BaseHTTPRequestHandler):
    """Answers 200 to everything, as somebody would who wants tokens."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_with_somebody_else_on_the_port_nothing_is_pointed(home: Home) -> None:
    """The daemon was killed, its admin socket lies about, and another program has taken the port."""
    before = files(home)
    with home.daemon() as daemon:
        daemon.stop(signal.SIGKILL)
        assert (home.runtime / "admin.sock").exists()
        with http.server.HTTPServer(("127.0.0.1", daemon.port), Impostor) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                for words in (("point",), ("point", "--check")):
                    done = run(home, *words)
                    assert done.returncode == NOT_RUNNING
                    assert b"no hublet is running" in done.stderr
            finally:
                server.shutdown()
                thread.join()
    assert files(home) == before


def test_the_proof_of_who_listens_is_another_for_each_word_and_each_daemon(
    daemon: RunningDaemon, tmp_path: Path
) -> None:
    """An impostor can't know it, not even from having asked us before; it needs no identity and tells nothing else."""
    words = ("0" * 32, "1" * 32)
    said = [ask(daemon, "GET", f"/hublet/v1/proof/{word}") for word in (*words, words[0])]
    assert [answer.status for answer in said] == [200] * 3
    assert said[0].body != said[1].body
    assert said[0].body == said[2].body
    assert len(said[0].body) == 64
    assert ask(daemon, "GET", "/hublet/v1/proof/" + "x" * 65).status == 404
    other = Home.make(tmp_path / "home", "http://127.0.0.1:9")
    with other.daemon() as second:
        assert ask(second, "GET", f"/hublet/v1/proof/{words[0]}").body != said[0].body


def test_both_loopback_addresses_are_ours(daemon: RunningDaemon) -> None:
    """Nobody can take the one while a hublet has the other: `localhost` may mean either."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                taken.bind((host, daemon.port))
    eventually(lambda: run(daemon.home, "point", "--shell", "bash").returncode == 0)
