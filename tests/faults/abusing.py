"""What a daemon is like from outside while it is abused: its memory and descriptors, and how honest clients fare."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.running import RunningDaemon, eventually

_HONEST = """
import http.client, json, sys, time
port, number, path = json.load(sys.stdin)
took, said = [], {}
for _ in range(number):
    start = time.perf_counter()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", path, headers={"Host": f"localhost:{port}"})
        response = connection.getresponse()
        response.read()
        word = str(response.status)
        connection.close()
    except OSError as error:
        word = type(error).__name__
    took.append(time.perf_counter() - start)
    said[word] = said.get(word, 0) + 1
took.sort()
print(json.dumps([said, took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000]))
"""


@dataclass(frozen=True)
class Fare:
    """How honest clients fared: answers by status (or error), and milliseconds from connecting to the last byte."""

    said: dict[str, int]
    p50: float
    p99: float

    def __str__(self) -> str:
        return f"{sum(self.said.values())} honest requests {self.said}, p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms"


def honest(daemon: RunningDaemon, number: int = 300, path: str = "/ide/list-assistants") -> Fare:
    """So many clients one after the other, each with a connection of its own, by the daemon's own user."""
    done = subprocess.run(
        daemon.home.command(sys.executable, "-c", _HONEST),
        input=json.dumps([daemon.port, number, path]).encode(),
        capture_output=True, check=True, timeout=100, env=daemon.home.env(), cwd=daemon.home.path,
    )  # fmt: skip
    return Fare(*json.loads(done.stdout))


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def open_files(pid: int) -> dict[str, str]:
    """What each descriptor is."""
    return {each.name: str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def resident(pid: int) -> float:
    """MB of memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


@contextmanager
def many_descriptors(number: int = 16384) -> Iterator[None]:
    """For this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(hard, number) if os.getuid() == 0 else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, most), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))


def connected(port: int, number: int) -> list[socket.socket]:
    """So many connections; one that is reset at once counts as one that the daemon turned away."""
    made: list[socket.socket] = []
    for _ in range(number):
        sock = socket.socket()
        sock.settimeout(10)
        made.append(sock)
        sock.connect(("127.0.0.1", port))
    return made


@contextmanager
def going_on(abuse: Callable[[], None], pause: float = 0.0) -> Iterator[list[int]]:
    """Repeats something in a thread until the block ends; gives how often it was done."""
    stop, rounds = threading.Event(), [0]

    def repeat() -> None:
        while not stop.is_set():
            abuse()
            rounds[0] += 1
            stop.wait(pause)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield rounds
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


@dataclass
class Watched:
    """A daemon before, while and after it is abused."""

    daemon: RunningDaemon
    fds: int
    threads: int
    before: float

    @classmethod
    def start(cls, daemon: RunningDaemon) -> Watched:
        honest(daemon, 20)  # so that whatever is made once is there
        pid = daemon.process.pid
        seen: list[int] = []

        def is_calm() -> bool:
            """Its first pass is over and the files that it watches are watched: nothing is opened for a while."""
            seen.append(-1 if _children(pid) else descriptors(pid))
            return len(seen) > 40 and len(set(seen[-40:])) == 1 and seen[-1] > 0

        eventually(is_calm, within=60)
        return cls(daemon, descriptors(pid), threads(pid), resident(pid))

    def assert_recovered(self, what: str, fare: Fare, *, most: float) -> None:
        """Its descriptors and threads are what they were, its memory is below a bound, and it answers as before."""
        pid, now = self.daemon.process.pid, resident(self.daemon.process.pid)
        print(f"\n{what}: {fare}; memory {self.before:.0f} MB before, {now:.0f} MB after")
        with suppress(AssertionError):
            eventually(lambda: descriptors(pid) <= self.fds and not _children(pid), within=30)
        assert descriptors(pid) <= self.fds, open_files(pid)
        assert threads(pid) <= self.threads + 8  # a pool of asyncio's grows up to its size once
        assert now < most, f"{now:.0f} MB"
        assert set(fare.said) == {"200"}, fare.said
        assert honest(self.daemon, 5).said == {"200": 5}


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
