"""The product as it is measured: `hublet run` in a throwaway home, on a core of its own, before a Hub of any size."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hublet.demo.data import DEMO_KEY
from tests.benchmarks.hub import RunningHub, World, hub_of
from tests.benchmarks.processes import CLIENT_CORE, SERVER_CORE, on_core, wait_for
from tests.running import HUBLET, Home, RunningDaemon

Settings = Mapping[str, Mapping[str, object]]
HAS_UVLOOP = importlib.util.find_spec("uvloop") is not None
_LARGE: Settings = {"hub": {"size_limit": "1GiB", "timeout": "5m"}}


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for everything of one part; the daemon's user may go into it."""
    with tempfile.TemporaryDirectory(prefix="hublet-bench-") as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


def home_of(place: Path, hub_url: str, settings: Settings | None = None) -> Home:
    """A home that is logged in."""
    merged = {name: dict(keys) for name, keys in _LARGE.items()}
    for name, keys in (settings or {}).items():
        merged.setdefault(name, {}).update(keys)
    home = Home.make(place, hub_url, settings=merged)
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
