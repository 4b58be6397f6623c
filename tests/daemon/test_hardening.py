"""What other programs of the same user can get out of a running daemon, and what a crash leaves behind."""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY, USER_SECRETS
from hublet.demo.faults import Hang
from hublet.demo.server import HubServer
from tests.daemon.asking import CACHED, ask_all, children
from tests.running import Home, as_user, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl and /proc are Linux's")

VALUES = [value for name, value in USER_SECRETS.items() if name != "PIN"]

NAMES = ("environ", "maps", "mem", "auxv", "status")
_LOOK = "pid=$1; shift; for name; do head -c 64 /proc/$pid/$name > /dev/null 2>&1 && echo $name; done; true"


def readable(pid: int, uid: int) -> set[str]:
    """What another process of the user, without any right beyond that, gets to read of a process."""
    done = subprocess.run(
        [*plainly(uid), "sh", "-c", _LOOK, "sh", str(pid), *NAMES], capture_output=True, text=True, check=True, cwd="/"
    )
    return set(done.stdout.split())


def plainly(uid: int) -> list[str]:
    """The words before a command of that user, without the right to read everything that the tests' own have."""
    return [word for word in as_user(uid) if "caps" not in word]


@pytest.fixture
def home(tmp_path: Path, template: Home, hub: HubServer) -> Home:
    shutil.copytree(template.path, tmp_path / "home")
    home = Home(tmp_path / "home")
    home.configure(hub.url)
    return home


def ended(process: subprocess.Popen[bytes], number: int) -> int:
    """How the kernel says that a process ended after a signal: killed, or killed with a core dumped."""
    process.send_signal(number)
    info = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert info is not None
    process.wait()
    return info.si_code


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_leaves_no_core(home: Home, number: int) -> None:
    """Although cores are allowed here and whoever collects them is running; no file appears, and the kernel says so."""
    before = {path.name for path in home.path.iterdir()}
    limit = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limit[1], limit[1]))
    try:
        with home.daemon() as daemon:
            assert ask_all(daemon, CACHED[:1])[0].status == 200
            assert ended(daemon.process, number) == os.CLD_KILLED
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limit)
    assert {path.name for path in home.path.iterdir() if not path.name.startswith("daemon-")} <= before | {"run"}


def test_neighbours_see_neither_environment_nor_memory(home: Home, hub: HubServer) -> None:
    """Neither of the daemon nor of its worker, although they are the same user's; of any other program they do. Root
    sees it, and so does whoever has CAP_SYS_PTRACE."""
    with subprocess.Popen([*plainly(home.uid), "sleep", "60"]) as other:
        eventually(lambda: {"environ", "maps", "status"} <= readable(other.pid, home.uid))
        other.kill()
    hub.hub.forget_requests()
    with hub.hub.failing(Hang(), "/ide/list-assistants"), home.daemon(env={"CONTINUE_API_KEY": DEMO_KEY}) as daemon:
        eventually(lambda: hub.hub.count("/ide/list-assistants"))
        (worker,) = children(daemon.process.pid)
        for pid in (daemon.process.pid, worker):
            assert readable(pid, home.uid) == {"status"}
            assert _core_limit(pid)[:2] == ["0", "0"]


@pytest.mark.parametrize("words", [["hublet.keyring_worker"], ["hublet.cli.main", "login"]])
def test_the_keyring_s_child_and_a_command_are_hardened_before_they_hear_a_secret(home: Home, words: list[str]) -> None:
    """Both wait for their standard input, on which the key comes; by then nobody can look into them."""
    with subprocess.Popen(
        home.command(sys.executable, "-m", *words), env=home.env(), cwd=home.path, stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        eventually(lambda: _core_limit(process.pid)[:2] == ["0", "0"])
        eventually(lambda: readable(process.pid, home.uid) == {"status"})
        assert process.poll() is None
        process.kill()


def _core_limit(pid: int) -> list[str]:
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max core file size"):
            return line.removeprefix("Max core file size").split()
    raise AssertionError


UVLOOP = importlib.util.find_spec("uvloop") is not None


def test_the_log_has_no_secret_at_debug_level(home: Home, hub: HubServer) -> None:
    """A pass, answers, refusals, a lock, an end."""
    home.configure(hub.url, settings={"log": {"level": "debug"}})
    with home.daemon() as daemon:
        eventually(lambda: " pass: " in daemon.log.read_text())
        ask_all(daemon, CACHED)
        ask_all(daemon, CACHED[:1], headers={"Authorization": f"Bearer {DEMO_KEY}x", "Origin": "https://evil.example"})
        assert home.hublet("lock").returncode == 0
        assert daemon.stop() == 0
        said = daemon.log.read_text()
    assert " DEBUG " in said or UVLOOP, "asyncio's own loop tells its selector; uvloop's has nothing to tell here"
    assert not [value for value in (*VALUES, DEMO_KEY) if value in said]


_RAISES = """
import logging, sys
from hublet.cli.main import main
from hublet.passes.sync import Sync

async def broken(self, *_, **__):
    value = next(v.reveal() for k in self.state.records.values() for v in k.content.bindings.values())
    logging.getLogger("hublet").warning("about to fail with %s", value)
    raise RuntimeError(f"canary {value} and {self.plan.hub.key.reveal()}")

Sync.run_pass = broken
main()
"""


def test_an_exception_with_a_secret_in_it_is_logged_without(home: Home) -> None:
    """In the real daemon, with what it really holds; everything is logged by the flag."""
    log = home.path / "crash.log"
    with log.open("wb") as out:
        words = home.command(sys.executable, "-c", _RAISES, "run", "--debug")
        process = subprocess.Popen(words, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=home.env(), cwd="/")
    try:
        eventually(lambda: "a pass failed" in log.read_text() and "RuntimeError" in log.read_text())
    finally:
        process.terminate()
        process.wait(15)
    said = log.read_text()
    assert "about to fail with **********" in said
    assert "RuntimeError: canary ********** and **********" in said
    assert not [value for value in (*VALUES, DEMO_KEY) if value in said]
