"""Start and end: from exec to the first cached answer, beside interpreters that do less, interleaved.

Commands are called as where a person is logged in, whose session has a runtime directory that the config leaves alone;
`hublet status` also with a config that says where it is, and so has to be read before the daemon is found.
The Hub is gone, so what answers is the cache of 200 assistants. Everything is started as the same user on the same
core; who asks polls for the port on another, half a millisecond apart.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hublet.demo.data import DEMO_KEY
from tests.benchmarks import hublets
from tests.benchmarks.hub import World
from tests.benchmarks.processes import SERVER_CORE, cpu, free_port, on_core, wait_for
from tests.benchmarks.table import Report, median
from tests.running import HUBLET, Home

NUMBER, SIZE = 200, 20_000
_SETTLE = 2.0
"""Seconds after which the daemon has loaded what it puts off, on the core that is to run the commands."""
HELLO = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def hello(request):
    return PlainTextResponse("hello")

uvicorn.run(Starlette(routes=[Route("/", hello)]), port=int(sys.argv[1]), log_level="critical")
"""
LOAD = """
import json, os, sys, time
from pathlib import Path
from hublet.config.loading import load_config
from hublet.keys.asking import Asker
from hublet.serve.keysource import open_archive

config, took = load_config(Path(os.environ["HUBLET_CONFIG"])), []
for _ in range(int(sys.argv[1])):
    archive = open_archive(config, Asker())
    began = time.perf_counter()
    records = len(archive.load().state.records)
    took.append(time.perf_counter() - began)
    archive.close()
print(json.dumps([records, took]))
"""


def program() -> list[str]:
    """The command as it is installed; else by its module."""
    script = Path(sys.executable).with_name("hublet")
    return [str(script)] if script.exists() else HUBLET


def measure(report: Report, *, rounds: int, short: bool) -> None:
    """All of this part."""
    took: dict[str, list[float]] = defaultdict(list)
    with hublets.scratch() as place:
        port = free_port()
        with hublets.filled(place / "home", World(number=NUMBER, size=SIZE), {"serve": {"port": port}}) as (hub, home):
            hub.stop()
            told = _telling(home)
            has_hello = all(importlib.util.find_spec(name) is not None for name in ("uvicorn", "starlette"))
            if not has_hello:
                report.lacks("uvicorn, starlette", "the bare hello beside the start")
            for _ in range(rounds):
                _round(took, home, port, told, has_hello=has_hello)
            records, loads = json.loads(home.python("-c", LOAD, str(max(rounds, 7))).stdout)
    _tell(report, took, records, loads)


def _telling(home: Home) -> Path:
    """Another config for the same home, which says the runtime directory that its own leaves to the session."""
    said = home.config.read_text()
    runtime = home.leave_to_session()
    told = home.path / "told.yaml"
    told.touch(mode=0o600)
    told.write_text(said.replace(str(home.runtime), str(runtime)))
    home.own()
    return told


def _round(took: dict[str, list[float]], home: Home, port: int, told: Path, *, has_hello: bool) -> None:
    target = "/ide/get-assistant/bench/a7?alwaysUseProxy=false"
    log = home.path / "start.log"
    spent = _children()
    took["asyncio"].append(whole(home, [sys.executable, "-c", "import asyncio, sqlite3"]))
    took["asyncio, CPU"].append(_children() - spent)
    if hublets.HAS_UVLOOP:
        with started(home, [*program(), "run"], log) as (process, began):
            took["fast"].append(first_answer(port, target) - began)
            took["fast, CPU"].append(cpu(process.pid))
    with started(home, [*program(), "run"], log, hublets.without_uvloop(home)) as (process, began):
        took["hublet"].append(first_answer(port, target) - began)
        took["hublet, CPU"].append(cpu(process.pid))
        wait_for(lambda: b"pass: " in log.read_bytes(), "the pass has failed")
        time.sleep(_SETTLE)
        took["click"].append(whole(home, [sys.executable, "-c", "import click"]))
        took["status"].append(whole(home, [*program(), "status"]))
        took["told"].append(whole(home, [*program(), "--config", str(told), "status"]))
        took["help"].append(whole(home, [*program(), "--help"]))
        began = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        process.wait()
        took["stop"].append(time.perf_counter() - began)
    if has_hello:
        free = free_port()
        with started(home, [sys.executable, "-c", HELLO, str(free)], home.path / "hello.log") as (process, began):
            took["hello"].append(first_answer(free, "/") - began)
            took["hello, CPU"].append(cpu(process.pid))
            process.kill()


def _children() -> float:
    """Processor time of the children that have been waited for, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def started(
    home: Home, words: Sequence[str], log: Path, env: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A process of the home's user on the server's core, and when it was begun; killed after half a minute."""
    with log.open("wb") as out:
        began = time.perf_counter()
        process = subprocess.Popen(
            home.command(*on_core(SERVER_CORE), *words),
            stdout=out,
            stderr=out,
            env=home.env(**(env or {})),
            cwd=home.path,
        )
    limit = threading.Timer(30, process.kill)
    limit.start()
    try:
        yield process, began
    finally:
        limit.cancel()
        process.kill()
        process.wait()


def whole(home: Home, words: Sequence[str]) -> float:
    """Seconds from exec to exit."""
    with started(home, words, home.path / "whole.log") as (process, began):
        code = process.wait()
        took = time.perf_counter() - began
    assert code == 0, (words, (home.path / "whole.log").read_text())
    return took


def first_answer(port: int, target: str) -> float:
    """When the first 200 had come whole. Raises RuntimeError when none came within 20 seconds."""
    headers = {"Host": f"localhost:{port}", "Authorization": f"Bearer {DEMO_KEY}"}
    deadline = time.perf_counter() + 20
    while time.perf_counter() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            if response.status == 200:
                response.read()
                return time.perf_counter()
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.0005)
    raise RuntimeError("no answer in 20 s")


def _tell(report: Report, took: dict[str, list[float]], records: int, loads: list[float]) -> None:
    names = {
        "asyncio": 'python -c "import asyncio, sqlite3"',
        "hublet": f"hublet run to its first cached 200, {NUMBER} assistants",
        "fast": f"hublet[fast] run to its first cached 200, {NUMBER} assistants",
        "hello": "uvicorn + Starlette hello to its first 200",
        "click": 'python -c "import click"',
        "status": "hublet status",
        "told": "hublet status by the config",
        "help": "hublet --help",
    }
    for name, what in names.items():
        if name in took:
            report.add("start", what, median(took[name]) * 1000, "ms")
    for one, other, what, aim in (
        ("hublet", "asyncio", "to import asyncio, sqlite3", "<= 1.8"),
        ("fast", "asyncio", "to import asyncio, sqlite3", "<= 1.8"),
        ("hublet", "hello", "to uvicorn + Starlette", "<= 0.7"),
        ("status", "click", "to import click", "<= 2"),
        ("told", "click", "to import click", "<= 2"),
        ("help", "click", "to import click", "<= 2"),
    ):
        if one in took and other in took:
            ratios = [a / b for a, b in zip(took[one], took[other], strict=True)]
            report.add("start", f"{names[one]}, {what}", median(ratios), "x", aim)
        if one in took and (spent := f"{other}, CPU") in took:
            ratios = [a / b for a, b in zip(took[f"{one}, CPU"], took[spent], strict=True)]
            report.add("start", f"the same in processor time, {what}", median(ratios), "x")
    report.add(
        "start",
        f"load of {records} sealed records, {NUMBER} of {SIZE / 1000:.0f} KB",
        median(loads) * 1000,
        "ms",
        "<= 12",
    )
    report.add("start", "SIGTERM to exit, idle", median(took["stop"]) * 1000, "ms", "<= 100")
