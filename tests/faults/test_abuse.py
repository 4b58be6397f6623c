"""A real daemon under clients that mean harm: honest ones are answered meanwhile, and afterwards all is as before."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.door.malformed import corpus
from tests.faults.abusing import Watched, connected, going_on, honest, many_descriptors, resident
from tests.running import Home, RunningDaemon

from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

IDLE, SLOW, MOST_MB = 5000, 500, 300.0
_HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost:%d\r\n\r\n"
_POST = b"POST /ide/sync-secrets HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: 100000\r\n\r\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    """One daemon for all of it, with a cache and room for many connections."""
    with many_descriptors(), HubServer(Hub()) as server:
        path = tmp_path_factory.mktemp("abuse") / "home"
        for parent in (path.parent, path.parent.parent):
            parent.chmod(0o755)
        home = Home.make(path, server.url)
        home.login(DEMO_KEY)
        assert home.hublet("sync").returncode == 0
        with home.daemon() as running:
            yield running


def test_five_thousand_idle_connections_keep_nobody_out(daemon: RunningDaemon) -> None:
    watched = Watched.start(daemon)
    idle = connected(daemon.port, IDLE)
    fare = honest(daemon)
    print(f"\n{resident(daemon.process.pid):.0f} MB with {IDLE} idle connections")
    assert resident(daemon.process.pid) < MOST_MB
    for sock in idle:
        sock.close()
    watched.assert_recovered(f"{IDLE} idle connections", fare, most=MOST_MB)


def test_slow_senders_are_cut_off_and_hold_up_nobody(daemon: RunningDaemon) -> None:
    """Half of them send a head byte by byte, half a body; a head is given ten seconds in all."""
    watched = Watched.start(daemon)
    slow = connected(daemon.port, SLOW)
    for number, sock in enumerate(slow):
        sock.setblocking(False)
        sock.send(b"GET / HT" if number % 2 else _POST % daemon.port)
    open_ = list(slow)

    def drip() -> None:
        for sock in list(open_):
            try:
                sock.send(b"x")
                if sock.recv(4096) == b"":
                    raise ConnectionResetError
            except BlockingIOError:
                continue
            except OSError:
                open_.remove(sock)

    with going_on(drip, pause=0.3):
        fare = honest(daemon)
        deadline = time.monotonic() + 60
        while len(open_) > SLOW // 2 and time.monotonic() < deadline:
            time.sleep(0.2)
    assert len(open_) <= SLOW // 2, "heads that never end were not cut off"
    for sock in slow:
        sock.close()
    watched.assert_recovered(f"{SLOW} slow senders", fare, most=MOST_MB)


def test_pipelined_floods_wait_outside(daemon: RunningDaemon) -> None:
    """Twenty clients send requests as fast as they can and read no answer."""
    watched = Watched.start(daemon)
    flood = connected(daemon.port, 20)
    lump = (_HEAD % daemon.port) * 1000
    sent = [0]
    for sock in flood:
        sock.setblocking(False)

    def pour() -> None:
        for sock in flood:
            with suppress(OSError):
                sent[0] += sock.send(lump)

    with going_on(pour):
        fare = honest(daemon)
        assert resident(daemon.process.pid) < MOST_MB
    assert sent[0] > len(lump)
    for sock in flood:
        sock.close()
    watched.assert_recovered(f"floods of {sent[0] // 1000} KB that were taken", fare, most=MOST_MB)


def test_half_closed_connections_are_answered_and_closed(daemon: RunningDaemon) -> None:
    watched = Watched.start(daemon)
    half = connected(daemon.port, 500)
    for sock in half:
        sock.sendall(_HEAD % daemon.port)
        sock.shutdown(socket.SHUT_WR)
    fare = honest(daemon)
    answers = 0
    for sock in half:
        said = b""
        while piece := sock.recv(4096):
            said += piece
        answers += said.startswith(b"HTTP/1.1 200")
        sock.close()
    assert answers == 500
    watched.assert_recovered("500 half-closed connections", fare, most=MOST_MB)


def test_resets_amid_a_body_leave_nothing_behind(daemon: RunningDaemon) -> None:
    watched = Watched.start(daemon)

    def reset() -> None:
        for sock in connected(daemon.port, 50):
            with suppress(OSError):
                sock.send(_POST % daemon.port + b'{"fqsns":')
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    with going_on(reset) as rounds:
        fare = honest(daemon)
    watched.assert_recovered(f"{rounds[0] * 50} resets amid a body", fare, most=MOST_MB)


def test_no_malformed_head_is_understood_however_often_it_comes(daemon: RunningDaemon) -> None:
    """The corpus of the door's own tests: sizes, lines, and every conflict of Content-Length and Transfer-Encoding."""
    watched = Watched.start(daemon)
    said: dict[bytes, int] = {}

    def send() -> None:
        for _, data in corpus.values():
            (sock,) = connected(daemon.port, 1)
            with suppress(OSError):
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            with suppress(OSError):
                status = sock.recv(4096)[9:12]
                said[status] = said.get(status, 0) + 1
            sock.close()

    with going_on(send) as rounds:
        fare = honest(daemon)
    assert rounds[0] >= 1
    # Nothing at all where the end came before the door could say what is wrong.
    assert all(status == b"" or status[:1] in b"45" for status in said), said
    watched.assert_recovered(f"{rounds[0] * len(corpus)} malformed requests {said}", fare, most=MOST_MB)


def test_the_log_of_all_that_is_bounded(daemon: RunningDaemon) -> None:
    """A flood of refusals is a few lines and a number."""
    assert Path(daemon.log).stat().st_size < 200_000
