"""Who listens, on both loopback addresses; the sockets and what a killed hublet leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path

import pytest
from tests.daemon.test_point import Impostor
from tests.doctor.looking import Place, grades, only

from hublet.doctor import port
from hublet.doctor.findings import Finding
from hublet.door.holders import holders_of
from hublet.host.proving import has_ipv6

pytestmark = pytest.mark.skipif(sys.platform != "linux" or not has_ipv6(), reason="needs /proc and ::1")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def free_port() -> int:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def listening(address: str, number: int = 0, *, both: bool = False) -> Iterator[int]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        sock.bind((address, number))
        sock.listen()
        yield sock.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "both", "four", "six"),
    [
        ("127.0.0.1", False, True, False),
        ("0.0.0.0", False, True, False),
        ("127.0.0.2", False, False, False),
        ("::1", False, False, True),
        ("::", True, True, True),
        ("::ffff:127.0.0.1", True, True, False),
    ],
)
def test_who_listens_is_read_from_the_kernel(address: str, both: bool, four: bool, six: bool) -> None:
    """With process, program and user; by every address that takes connections for a loopback one. Nobody connects."""
    with listening(address, both=both) as number:
        found = {host: holders_of(number, host) for host in ("127.0.0.1", "::1")}
    for host, expected in (("127.0.0.1", four), ("::1", six)):
        told = found[host]
        assert told is not None
        assert bool(told) == expected
        if told:
            assert (told[0].pid, told[0].uid) == (os.getpid(), os.getuid())
            assert Path("/proc/self/comm").read_text().strip() in str(told[0])


def test_a_connection_is_no_listener() -> None:
    """One that is still open on the port that was listened on."""
    with listening("127.0.0.1") as number, socket.create_connection(("127.0.0.1", number)) as client:
        assert len(holders_of(number, "127.0.0.1") or []) == 1
        assert holders_of(client.getsockname()[1], "127.0.0.1") == []


def test_nobody_is_connected_to(place: Place) -> None:
    """The first connection would start a service whose socket the service manager holds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        place.configure(serve={"port": server.getsockname()[1]})
        place.found(port.port)
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_free_port_is_ok(place: Place) -> None:
    place.configure(serve={"port": free_port()})
    assert grades(place.found(port.port)) == {"port.ipv4": "ok", "port.ipv6": "ok"}


@pytest.mark.parametrize(("address", "check"), [("127.0.0.1", "port.ipv4"), ("::1", "port.ipv6")])
def test_a_port_that_another_program_holds_names_it(place: Place, address: str, check: str) -> None:
    """On one of the two addresses, which is enough."""
    script = (
        "import socket, sys\n"
        "family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET\n"
        "server = socket.create_server((sys.argv[1], 0), family=family)\n"
        "print(server.getsockname()[1], flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", script, address]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        place.configure(serve={"port": int(other.stdout.readline())})
        found = place.found(port.port)
        other.stdin.close()
    assert only(found, check).grade == "problem"
    assert f"(process {other.pid})" in only(found, check).message
    assert sorted(grades(found).values()) == ["ok", "problem"]


def test_a_running_hublet_that_listens_nowhere(place: Place) -> None:
    async def scenario() -> list[Finding]:
        async with place.running() as it:
            it.service.port = free_port()
            return await place.told(port.port)

    found = asyncio.run(scenario())
    assert grades(found) == {"port.ipv4": "problem", "port.ipv6": "problem"}
    assert "nobody listens" in found[0].message


def test_an_impostor_on_a_running_hublets_port(place: Place) -> None:
    """It answers everything; but not with what only hublet knows."""

    async def scenario(number: int) -> list[Finding]:
        async with place.running() as it:
            it.service.port = number
            return await place.told(port.port)

    with HTTPServer(("127.0.0.1", 0), Impostor) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            found = asyncio.run(scenario(server.server_address[1]))
        finally:
            server.shutdown()
            thread.join()
    assert only(found, "port.ipv4").grade == "problem"
    assert f"(process {os.getpid()})" in only(found, "port.ipv4").message
    assert "not this hublet" in only(found, "port.ipv4").message


def left_over(path: Path) -> None:
    """As a killed process leaves its socket."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()


def test_a_stale_socket_file(place: Place) -> None:
    """Of the admin door, and of serve.socket."""
    own = place.home / "own" / "hublet.sock"
    place.configure(serve={"socket": own})
    left_over(place.admin)
    left_over(own)
    found = place.found(port.sockets)
    assert grades(found) == {"socket.admin": "warning", "socket.own": "warning"}
    assert "left over from a hublet that was killed" in only(found, "socket.admin").message
    assert place.admin.exists(), "it is only told of"


def test_something_in_the_way_of_the_socket(place: Place) -> None:
    place.admin.parent.mkdir(mode=0o700)
    place.admin.write_text("a file")
    assert only(place.found(port.sockets), "socket.admin").grade == "problem"


def test_a_live_socket_is_ok_and_its_folder_is_private(place: Place) -> None:
    async def scenario(mode: int) -> dict[str, str]:
        async with place.running():
            place.admin.parent.chmod(mode)
            return grades(await place.told(port.sockets))

    assert asyncio.run(scenario(0o700)) == {"socket.admin": "ok"}
    assert asyncio.run(scenario(0o755)) == {"socket.admin": "ok", "socket.folder": "problem"}


def test_the_name_of_a_dead_process(place: Place) -> None:
    """In the file of the store's lock: a killed hublet could not take it out."""
    place.with_store()
    lock = place.data / "hublet.lock"
    ended = subprocess.Popen(["true"])
    ended.wait()
    lock.write_text(f"{ended.pid}\n")
    found = only(place.found(port.sockets), "store.lock")
    assert (found.grade, f"process {ended.pid}, which was killed" in found.message) == ("warning", True)
    lock.write_text("")
    assert place.found(port.sockets) == []
