"""Where the system's bus is looked for, and what becomes of one that hangs, refuses or talks nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.host.hearing import listening

from hublet.core.pace import Surroundings
from hublet.host.bus import bus_places
from hublet.host.bus import system_bus as bus_among

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="D-Bus and netlink are Linux's")


@contextlib.contextmanager
def bad_bus(path: Path, behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A socket at the place of the bus that does `behave` to each connection."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        held = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    visitor, _ = sock.accept()
                    held.append(visitor)
                    with contextlib.suppress(OSError):
                        behave(visitor)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"unix:path={path}"
        finally:
            sock.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for visitor in held:
                visitor.close()


def hang(_: socket.socket) -> None:
    """Never say anything."""


def close(visitor: socket.socket) -> None:
    visitor.close()


def refuse(visitor: socket.socket) -> None:
    visitor.recv(1024)
    visitor.sendall(b"REJECTED EXTERNAL\r\n" * 3)


def babble(visitor: socket.socket) -> None:
    """Accept the login, then send nonsense."""
    visitor.recv(1024)
    visitor.sendall(b"OK 0123456789abcdef\r\n")
    visitor.recv(1024)
    visitor.sendall(b"AGREE_UNIX_FD\r\n")
    visitor.sendall(bytes(range(256)) * 20)


def promise(visitor: socket.socket) -> None:
    """Announce a message of 100 MB and begin to send it."""
    visitor.recv(1024)
    visitor.sendall(b"OK 0123456789abcdef\r\n")
    visitor.recv(1024)
    visitor.sendall(b"l\x04\x00\x01" + (100_000_000).to_bytes(4, "little") + bytes([1, 0, 0, 0, 8, 0, 0, 0]))
    for _ in range(3):
        visitor.sendall(bytes(1_000_000))


@pytest.mark.parametrize("behave", [hang, close, refuse, babble, promise])
def test_what_is_no_bus_is_survived_and_logged_once(
    tmp_path: Path,
    behave: Callable[[socket.socket], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is tried again with ever longer pauses, and the kernel tells of the network instead."""
    monkeypatch.setattr("hublet.host.bus.Bus.connect.__func__.__kwdefaults__", {"patience": 0.2}, raising=False)

    async def life(address: str) -> None:
        async with listening(address) as heard:
            assert heard.desktop._bus is None
            assert heard.desktop._routes is not None
            tries = 1
            for _ in range(120):
                heard.now += 30
                heard.desktop.look()
                if heard.desktop._connecting:
                    tries += 1
                    await heard.known()
            assert 5 <= tries <= 9
            assert heard.look == Surroundings()

    with bad_bus(tmp_path / "bus", behave) as address:
        asyncio.run(life(address))
    # Only a bus that says nothing is waited for. Nonsense and too large messages end the connection at once.
    assert ("it does not answer" in caplog.text) is (behave is hang)
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1


def test_the_bus_is_found_as_the_specification_has_it(tmp_path: Path) -> None:
    """The first address that can be used; a path with no socket is none."""

    def found(address: str) -> str | None:
        return bus_among(bus_places({"DBUS_SYSTEM_BUS_ADDRESS": address}))

    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        assert found(f"unix:path={path}") == str(path)
        assert found(f"tcp:host=x,port=1;unix:path={path},guid=0") == str(path)
    assert found("unix:abstract=x") == "\0x"
    for address in ("unix:path=/nonexistent", "tcp:host=x", "nonsense", "unix:", ";;"):
        assert found(address) is None
