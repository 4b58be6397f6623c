"""What the service manager is told over a real datagram socket, with a path and in the abstract namespace."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hublet.config.loading import Config, load_config
from hublet.daemon import Daemon
from hublet.host.activation import handed_over
from hublet.host.notify import Notifier

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's own")


@pytest.fixture(params=["path", pytest.param("abstract", marks=only_linux)])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A listening manager, and its address as NOTIFY_SOCKET has it."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@hublet-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address.replace("@", "\0"))
        sock.settimeout(5)
        yield sock, address


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """For a daemon in this process."""
    file = tmp_path / "config.yaml"
    file.touch(mode=0o600)
    file.write_text(
        "hub:\n  url: http://127.0.0.1:9\nserve:\n  port: 0\n"
        f"cache:\n  directory: {tmp_path / 'data'}\n  runtime_directory: {tmp_path / 'run'}\n"
        f"keys:\n  file: {tmp_path / 'key' / 'kek'}\n"
    )
    return load_config(file)


def heard(sock: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in sock.recv(4096).decode().split("\n"))


def test_each_word_is_one_datagram(manager: tuple[socket.socket, str]) -> None:
    """As sd_notify(3) has them; a status that has not changed is not repeated."""
    sock, address = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "90000000"})
    assert notifier.interval == 90
    notifier.ready("it\nserves")
    assert heard(sock) == {"READY": "1", "STATUS": "it serves"}
    notifier.status("it serves")
    notifier.status("offline")
    assert heard(sock) == {"STATUS": "offline"}
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    word = heard(sock)
    assert word["RELOADING"] == "1"
    assert before <= int(word["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    notifier.alive()
    assert heard(sock) == {"WATCHDOG": "1"}
    notifier.stopping()
    assert heard(sock)["STOPPING"] == "1"


def test_the_variables_are_taken_out() -> None:
    """No child may speak in our name, take our sockets, or think itself watched."""
    environment = {
        "NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1", "LISTEN_FDS": "2",
        "LISTEN_PID": "7", "LISTEN_FDNAMES": "a:b", "HOME": "/",
    }  # fmt: skip
    assert Notifier.from_environment(environment, pid=7).interval is None  # another process is watched
    assert handed_over(environment, pid=7) == [3, 4]
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize("words", [{}, {"LISTEN_FDS": "2", "LISTEN_PID": "8"}, {"LISTEN_FDS": "x", "LISTEN_PID": "7"}])
def test_descriptors_of_another_process_are_left_alone(words: dict[str, str]) -> None:
    assert handed_over(dict(words), pid=7) == []


@pytest.mark.parametrize("address", ["", "relative", "@", "/"])
def test_without_a_manager_nothing_is_sent(address: str) -> None:
    """And no call fails."""
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    assert not notifier.listening
    notifier.ready("")
    notifier.alive()


def test_a_manager_that_is_gone_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once."""
    notifier = Notifier(str(tmp_path / "gone"), interval=1)
    notifier.ready("x")
    notifier.alive()
    assert len(caplog.records) == 1


def test_the_watchdog_is_fed_at_a_third_of_its_time(manager: tuple[socket.socket, str], config: Config) -> None:
    """The daemon's heartbeat feeds it, and stops when it can't do its work. STOPPING comes last."""
    sock, address = manager

    async def life() -> None:
        notifier = Notifier(address, interval=0.3)
        daemon = Daemon(config, environment={}, notifier=notifier)
        await daemon.start()
        running = asyncio.create_task(daemon.run())
        while "READY" not in await asyncio.to_thread(heard, sock):
            pass
        began = time.monotonic()
        fed = 0
        while fed < 3:
            fed += "WATCHDOG" in await asyncio.to_thread(heard, sock)
        assert 0.15 < time.monotonic() - began < 2
        assert daemon.service is not None
        assert daemon.service.sync is not None
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        daemon.service.sync.republish_if_due = lambda: 1 / 0  # type: ignore[method-assign]
        await asyncio.sleep(0.15)
        sock.setblocking(False)
        while True:
            try:
                sock.recv(4096)
            except BlockingIOError:
                break
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(sock.recv, 4096)
        daemon._stopping.set()
        await running
        assert heard(sock)["STOPPING"] == "1"

    asyncio.run(life())


def test_the_machine_wakes_and_one_sync_follows(config: Config) -> None:
    """The wall clock jumps ahead of the monotonic one: however long the sleep and whatever was due meanwhile."""
    asked = []
    clock = [1_000_000.0]

    async def run(order: object, say: object) -> object:
        from hublet.core.outcomes import PassReport

        asked.append(order)
        return PassReport((), (), whole=True)

    async def life() -> None:
        environment = {"CONTINUE_API_KEY": "con_" + "a" * 40}
        daemon = Daemon(config, environment=environment, run=run, clock=lambda: clock[0])  # type: ignore[arg-type]
        daemon._pulse = 0.02
        await daemon.start()
        await asyncio.sleep(0.3)
        assert len(asked) == 1
        clock[0] += 7 * 86400
        await asyncio.sleep(0.5)
        assert len(asked) == 2
        await daemon.stop()

    asyncio.run(life())
