"""Processes that are measured: started on a core of their own, looked at from outside, ended whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]
"""The same one where there is only one."""


def on_core(core: int) -> list[str]:
    """The words before a command that is to run on one core, with all its children."""
    return ["taskset", "--cpu-list", str(core)]


def family(pid: int) -> list[int]:
    """A process and all that came of it and still live."""
    children: dict[int, list[int]] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(place.name))
    found, at = [pid], 0
    while at < len(found):
        found += children.get(found[at], [])
        at += 1
    return found


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used by now, over all its threads; 0 when it is gone.

    From the scheduler's own count (nanoseconds), where the kernel keeps one, else utime and stime (hundredths).
    """
    with contextlib.suppress(OSError):
        spent = [int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()]
        if any(spent):
            return sum(spent) / 1e9
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


class Spent:
    """Processor time of some processes since this was made; those that ended meanwhile are not counted."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._before = {pid: cpu(pid) for pid in pids}

    def seconds(self) -> float:
        return sum(max(0.0, cpu(pid) - before) for pid, before in self._before.items())


@dataclass(frozen=True)
class Memory:
    """What a process holds, in MB of 10^6 bytes."""

    rss: float
    pss: float
    private: float


def memory(pids: Sequence[int]) -> Memory:
    """Over all of them, children counted."""
    rss = pss = private = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            rss += _kib(Path(f"/proc/{pid}/status"), ("VmRSS:",))
            pss += _kib(Path(f"/proc/{pid}/smaps_rollup"), ("Pss:",))
            private += _kib(Path(f"/proc/{pid}/smaps_rollup"), ("Private_Clean:", "Private_Dirty:"))
    return Memory(*(each * 1024 / 1e6 for each in (rss, pss, private)))


def _kib(file: Path, names: tuple[str, ...]) -> int:
    return sum(int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith(names))


def switches(pids: Sequence[int]) -> int:
    """How often their threads were switched to and from, of themselves or not: each wake-up is one."""
    names = ("voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:")
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += sum(_kib(task / "status", names) for task in Path(f"/proc/{pid}/task").iterdir())
    return total


def _born(pid: int) -> str:
    """When a process began, in ticks since the machine did; empty when there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for(check: Callable[[], object], what: str, *, within: float = 20.0) -> None:
    """Raises RuntimeError when it does not come true in time."""
    deadline = time.monotonic() + within
    while not check():
        if time.monotonic() > deadline:
            raise RuntimeError(f"in {within:.0f} s it did not happen that {what}")
        time.sleep(0.02)


@contextmanager
def running(words: Sequence[str], *, log: Path, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, of which nothing is left afterwards."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd=cwd
        )
    try:
        yield process
    finally:
        whole = [(pid, _born(pid)) for pid in family(process.pid)]
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        for pid, born in whole:
            with contextlib.suppress(ProcessLookupError):
                if born and _born(pid) == born:  # not another one that has its number by now
                    os.kill(pid, signal.SIGKILL)
        process.wait(5)
