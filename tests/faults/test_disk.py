"""A real daemon whose disk fails it: it serves on from memory, says since when and why, and writes again by itself.

Faults of calls come from a library between the daemon and its C library (shim.c); a full disk is a real small one; a
store that is deleted or replaced is really so. The daemon is as it is run, but that its heart beats faster.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.faults import shim
from tests.running import AS_ROOT, Home, RunningDaemon, eventually, missing

from hublet.demo import faults
from hublet.demo.data import DEMO_KEY
from hublet.demo.server import HubServer

pytestmark = pytest.mark.slow

LIST = "/ide/list-assistants"
PROGRAM = """
import os, resource, signal
import hublet.daemon, hublet.serve.reopening
had, held = resource.getrlimit(resource.RLIMIT_NOFILE), []
def use_up(*_):
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, had[1]))
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        for _ in range(4):  # for whoever asks
            os.close(held.pop())
def give_back(*_):
    resource.setrlimit(resource.RLIMIT_NOFILE, had)
    while held:
        os.close(held.pop())
signal.signal(signal.SIGUSR1, use_up)
signal.signal(signal.SIGUSR2, give_back)
hublet.daemon.HEARTBEAT = hublet.serve.reopening.FIRST = 0.2
from hublet.cli.main import main
main()
"""
with_compiler = pytest.mark.skipif(bool(missing("cc")), reason=missing("cc") or "it is there")
as_root = pytest.mark.skipif(not AS_ROOT, reason="only root can mount")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shim.build(tmp_path_factory.mktemp("shim"))


class Case:
    """A logged-in hublet that runs; the Hub says something new each time that it is asked to."""

    def __init__(self, home: Home, server: HubServer, daemon: RunningDaemon) -> None:
        self.home, self.server, self.daemon, self.title = home, server, daemon, "Rust Smith"

    def news(self, title: str) -> int:
        """The Hub has something new, and a pass brings it; the exit code of `hublet sync`."""
        self.server.hub.edit_assistant("dana/rust-smith", self.title, title)
        self.title = title
        return self.home.hublet("sync").returncode

    @property
    def served(self) -> bool:
        """Whether the newest is served."""
        answer = self.daemon.ask("GET", LIST)
        assert answer.status == 200
        return self.title.encode() in answer.body

    def status(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.home.hublet("status", "--json").stdout)
        return value

    @property
    def saved(self) -> bool:
        return self.status()["unsaved_since"] is None

    def lasts(self) -> None:
        """Another daemon, with the Hub gone, serves the newest."""
        self.daemon.stop()
        with self.server.hub.failing(faults.Disconnect()), self.home.daemon() as again:
            answer = again.ask("GET", LIST)
            assert answer.status == 200
            assert self.title.encode() in answer.body
        assert self.home.hublet("store", "check").returncode == 0


@contextmanager
def running(home: Home, server: HubServer, **env: str) -> Iterator[Case]:
    with home.daemon(program=[sys.executable, "-c", PROGRAM], env=env) as daemon:
        case = Case(home, server, daemon)
        # The pass that it begins with has ended: a sync that joins it could miss what is new.
        eventually(
            lambda: (status := case.status())["last_success_at"] >= status["started_at"] and not status["running"]
        )
        yield case


def goes_on_from_memory(case: Case, says: str) -> None:
    """While nothing can be written: news is served, and `hublet status` says since when it is not saved, and why."""
    before = case.status()["started_at"]
    assert case.news("Served from memory") == 0
    assert case.served
    status = case.status()
    assert status["unsaved_since"] >= before
    assert says in status["unsaved_reason"], status["unsaved_reason"]
    assert "not saved to disk for" in case.home.hublet("status").stdout.decode()


FAULTS = {
    "ENOSPC": (errno.ENOSPC, "write cut", "full"),
    "EDQUOT": (errno.EDQUOT, "write cut", "can't be written"),
    "EIO on write": (errno.EIO, "write", "can't be written"),
    "EIO on flush": (errno.EIO, "sync", "can't be written"),
    "EROFS": (errno.EROFS, "write sync create cut unlink rename", "can't be written"),
    "ENOLCK": (errno.ENOLCK, "lock", "can't be written"),
}


@with_compiler
@pytest.mark.parametrize("name", FAULTS)
def test_a_disk_that_fails(logged_in: Home, hub_server: HubServer, library: Path, name: str) -> None:
    """Calls fail, then work again: what came meanwhile is on the disk without another pass, and whole."""
    number, kinds, says = FAULTS[name]
    control = logged_in.path / "fault"
    env = {"LD_PRELOAD": str(library), "FILES_UNDER": str(logged_in.data), "FILES_FAULT": str(control)}
    with running(logged_in, hub_server, **env) as case:
        beside = control.with_suffix(".new")
        beside.write_text(f"{number} {kinds}\n")
        beside.chmod(0o644)
        beside.rename(control)
        goes_on_from_memory(case, says)
        control.unlink()
        eventually(lambda: case.saved)
        assert case.served
        case.lasts()


@with_compiler
def test_a_file_system_without_locks(logged_in: Home, hub_server: HubServer, library: Path) -> None:
    """From the start: 503 and the reason, since two hublets could write there; with locks it opens by itself."""
    control = logged_in.path / "fault"
    control.write_text(f"{errno.ENOLCK} lock\n")
    control.chmod(0o644)
    env = {"LD_PRELOAD": str(library), "FILES_UNDER": str(logged_in.data), "FILES_FAULT": str(control)}
    with logged_in.daemon(program=[sys.executable, "-c", PROGRAM], env=env) as daemon:
        answer = daemon.ask("GET", LIST)
        assert answer.status == 503
        assert b"without locks" in answer.body
        control.unlink()
        eventually(lambda: daemon.ask("GET", LIST).status == 200)


@contextmanager
def small_disk(home: Home, size: str) -> Iterator[None]:
    """The data directory is a file system of its own."""
    home.data.mkdir(mode=0o700)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700,uid={home.uid},gid={home.uid}", "tmpfs", home.data]
    subprocess.run(words, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", home.data], check=True)


@as_root
def test_a_full_disk(home: Home, hub_server: HubServer) -> None:
    """A real one, full to the last byte; as soon as there is room everything is written."""
    with small_disk(home, "8m"):
        home.login(DEMO_KEY)
        with running(home, hub_server) as case:
            ballast = home.data / "ballast"
            fill(ballast)
            goes_on_from_memory(case, "the disk is full")
            ballast.unlink()
            eventually(lambda: case.saved)
            case.lasts()


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for piece in (1 << 20, 4096, 512, 1):
            try:
                while True:
                    file.write(bytes(piece))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


@as_root
def test_a_disk_that_is_mounted_read_only(home: Home, hub_server: HubServer) -> None:
    """At the start: 503 and the reason; once it is writable it opens by itself. (Linux lets nobody take away the right
    to write from a mount where a file is open for writing; what a failing disk does then is EROFS above.)"""
    with small_disk(home, "8m"):
        home.login(DEMO_KEY)
        subprocess.run(["mount", "-o", "remount,ro", home.data], check=True)
        with home.daemon(program=[sys.executable, "-c", PROGRAM]) as daemon:
            case = Case(home, hub_server, daemon)
            assert daemon.ask("GET", LIST).status == 503
            assert "unable to open database file" in case.status()["reason"]
            subprocess.run(["mount", "-o", "remount,rw", home.data], check=True)
            eventually(lambda: daemon.ask("GET", LIST).status == 200)
            assert case.news("Writable again") == 0
            assert case.saved
            case.lasts()


def test_no_file_descriptor_is_left(logged_in: Home, hub_server: HubServer) -> None:
    """Nothing can be opened, no pass begun: what is cached is served; with descriptors all goes on."""
    with running(logged_in, hub_server) as case:
        for _ in range(3):  # what was open for a moment is used up too
            case.daemon.process.send_signal(signal.SIGUSR1)
            assert case.served
        case.server.hub.edit_assistant("dana/rust-smith", "Rust Smith", "Rust Smithy")
        done = logged_in.hublet("sync")
        assert done.returncode == 12
        assert b"no worker could be started" in done.stderr
        assert case.served
        case.daemon.process.send_signal(signal.SIGUSR2)
        assert case.daemon.log.read_text().count("no new connection can be taken") <= 1
        case.title = "Rust Smithy"
        assert logged_in.hublet("sync").returncode == 0
        assert case.served
        assert case.saved
        case.lasts()


def delete(data: Path) -> None:
    for file in data.glob("hublet.sqlite3*"):
        file.unlink()


def delete_everything(data: Path) -> None:
    shutil.rmtree(data)


def put_another_there(data: Path) -> None:
    other = data / "other"
    other.write_bytes(b"a diary, not a database\n" * 500)
    other.replace(data / "hublet.sqlite3")


def put_an_older_one_there(data: Path) -> None:
    """What a restore by hand does."""
    (data / "older").rename(data / "hublet.sqlite3")


def write_into_it(data: Path) -> None:
    with (data / "hublet.sqlite3").open("r+b") as file:
        file.write(os.urandom(100_000))


def cut_it_off(data: Path) -> None:
    os.truncate(data / "hublet.sqlite3", 20_000)


@pytest.mark.parametrize(
    "harm", [delete, delete_everything, put_another_there, put_an_older_one_there, write_into_it, cut_it_off]
)
def test_a_store_that_is_harmed_while_it_is_open(
    logged_in: Home, hub_server: HubServer, harm: Callable[[Path], None]
) -> None:
    """It is noticed, said, and made anew with everything that is served; what lay in its place is kept aside."""
    shutil.copy(logged_in.data / "hublet.sqlite3", logged_in.data / "older")
    logged_in.own()
    with running(logged_in, hub_server) as case:
        assert case.news("Before the harm") == 0
        harm(logged_in.data)
        logged_in.own()
        assert case.served
        assert case.news("After the harm") == 0
        assert case.served
        eventually(lambda: case.saved)
        assert "was made anew from what hublet has in memory" in case.daemon.log.read_text()
        assert case.home.hublet("store", "check").returncode == 0
        gone = harm in (delete, delete_everything)
        assert bool(list(logged_in.data.glob("aside-*/hublet.sqlite3"))) == (not gone)
        info = (logged_in.data / "hublet.sqlite3").stat()
        assert (info.st_mode & 0o777, info.st_uid) == (0o600, logged_in.uid if AS_ROOT else os.getuid())
        case.lasts()


def test_a_store_that_is_deleted_is_put_back_without_a_pass(logged_in: Home, hub_server: HubServer) -> None:
    """Within a heartbeat, and whole: nothing came from the Hub meanwhile."""
    with running(logged_in, hub_server) as case:
        with hub_server.hub.failing(faults.Disconnect()):
            delete(logged_in.data)
            eventually(lambda: (logged_in.data / "hublet.sqlite3").exists())
        eventually(lambda: case.saved)
        case.lasts()


def test_a_wal_that_a_crash_left(logged_in: Home, hub_server: HubServer) -> None:
    """What was committed before the kill is there, though it is in the WAL alone."""
    with running(logged_in, hub_server) as case:
        logged_in.hublet("token", "--name", "only in the WAL")
        case.daemon.process.send_signal(signal.SIGKILL)
        case.daemon.process.wait(10)
        assert (logged_in.data / "hublet.sqlite3-wal").stat().st_size > 0
    assert logged_in.hublet("store", "check").returncode == 0
    with running(logged_in, hub_server) as case:
        assert b"only in the WAL" in logged_in.hublet("token", "list").stdout
        assert case.served
