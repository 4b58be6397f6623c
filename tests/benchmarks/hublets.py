"""The product as it is measured: `hublet run` in a throwaway home, on a core of its own, before a Hub of any size."""

from __future__ import annotations

import compileall
import importlib.util
import json
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import hublet
from hublet.demo.data import DEMO_KEY
from tests.benchmarks.hub import RunningHub, World, hub_of
from tests.benchmarks.processes import CLIENT_CORE, SERVER_CORE, on_core, wait_for
from tests.running import HUBLET, Home, RunningDaemon

Settings = Mapping[str, Mapping[str, object]]
HAS_UVLOOP = importlib.util.find_spec("uvloop") is not None
# As an installed package is: the user who runs hublet here may not write beside the sources, and would compile them
# anew with each start.
compileall.compile_dir(Path(hublet.__file__).parent, quiet=2)

_LARGE: Settings = {"hub": {"size_limit": "1GiB", "timeout": "5m"}}


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for everything of one part; the daemon's user may go into it."""
    with tempfile.TemporaryDirectory(prefix="hublet-bench-") as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


def home_of(place: Path, hub_url: str, settings: Settings | None = None, *, key: bool = True) -> Home:
    """A home that is logged in, unless it is to have no `key` yet."""
    merged = {name: dict(keys) for name, keys in _LARGE.items()}
    for name, keys in (settings or {}).items():
        merged.setdefault(name, {}).update(keys)
    home = Home.make(place, hub_url, settings=merged)
    if key:
        home.login(DEMO_KEY)
    return home


def without_uvloop(home: Home) -> dict[str, str]:
    """An environment in which uvloop is not to be found, whether it is installed or not."""
    place = home.path / "without"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text('import sys\n\nsys.modules["uvloop"] = None\n')
    home.own()
    return {"PYTHONPATH": str(place)}


def uses_uvloop(daemon: RunningDaemon) -> bool:
    return "uvloop" in Path(f"/proc/{daemon.process.pid}/maps").read_text()


@contextmanager
def daemon_of(home: Home, *, fast: bool = True) -> Iterator[RunningDaemon]:
    """A running one; `fast` with uvloop, if it is installed."""
    env = {} if fast else without_uvloop(home)
    with home.daemon(env=env, program=[*on_core(SERVER_CORE), *HUBLET]) as daemon:
        yield daemon


def status(home: Home) -> dict[str, object]:
    done = home.hublet("status", "--json")
    assert done.returncode == 0, done.stderr.decode()
    told: dict[str, object] = json.loads(done.stdout)
    return told


def synced(daemon: RunningDaemon, *, passes: int = 1, within: float = 120.0) -> None:
    """Wait until the daemon has said so of that many passes."""
    wait_for(lambda: daemon.log.read_bytes().count(b"answered,") >= passes, "the daemon has synced", within=within)


@contextmanager
def filled(place: Path, world: World, settings: Settings | None = None) -> Iterator[tuple[RunningHub, Home]]:
    """A Hub, and a home whose cache has all of it."""
    with ExitStack() as stack:
        hub = stack.enter_context(hub_of(world, before=on_core(CLIENT_CORE)))
        home = home_of(place, hub.url, settings)
        with daemon_of(home) as daemon:
            synced(daemon)
        yield hub, home


_SYNC = """
import http.client, json, os, socket, time
from pathlib import Path
from hublet.config.loading import load_config

connection = http.client.HTTPConnection("localhost", timeout=600)
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(str(load_config(Path(os.environ["HUBLET_CONFIG"])).locate().admin_socket))
began = time.perf_counter()
connection.request("POST", "/sync")
lines = connection.getresponse().read().splitlines()
print(json.dumps(json.loads(lines[-1])["summary"] | {"seconds": time.perf_counter() - began}))
"""


def sync(home: Home) -> dict[str, float]:
    """A pass now: its summary, and `seconds` as its asker saw it."""
    done = home.python("-c", _SYNC, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    summary: dict[str, float] = json.loads(done.stdout)
    assert summary["of_account"], summary
    return summary


Rows = dict[bytes, tuple[str, bytes]]


def rows(home: Home) -> Rows:
    """Each record of the store, sealed as it is, by id: (kind, its salt). A salt is new with each writing."""
    with closing(sqlite3.connect(f"file:{home.data / 'hublet.sqlite3'}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT id, kind, substr(sealed, 2, 32) FROM records")
        return {id: (kind, salt) for id, kind, salt in found}


def written(before: Rows, after: Rows) -> Counter[str]:
    """How many records of each kind were written, or deleted, between two looks."""
    return Counter((after.get(id) or before[id])[0] for id in before | after if before.get(id) != after.get(id))


def probed(home: Home) -> list[str]:
    """The program of a daemon that watches itself; `seen` asks it."""
    return [sys.executable, "-P", str(Path(__file__).with_name("probed.py")), str(home.path / "probe.json")]


def seen(daemon: RunningDaemon) -> dict[str, Any]:
    """What a probed daemon has seen since it was asked last."""
    file = daemon.home.path / "probe.json"
    file.unlink(missing_ok=True)
    daemon.process.send_signal(signal.SIGUSR2)
    wait_for(file.exists, "the daemon tells what it has seen")
    told: dict[str, Any] = json.loads(file.read_text())
    return told
