"""Hits: a cached answer, asked for over eight connections of one core, served by one process on another.

Every server is measured in every round, one after the other, so that a machine's mood of a moment falls on all of them;
what is told is the median of the ratios within rounds. Processor time is that of all the server's processes, and each
request's head has the bearer, the Host and, for a 304, the ETag that the server itself gave.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hublet.demo.data import DEMO_KEY
from tests.benchmarks import hublets
from tests.benchmarks.hub import World, hub_of
from tests.benchmarks.peers import Page, Peers, Server, compiled
from tests.benchmarks.processes import CLIENT_CORE, Spent, family, on_core, wait_for
from tests.benchmarks.table import Report, median
from tests.running import THROWAWAY_UID, RunningDaemon, as_user

CONNECTIONS = 8
KINDS = {"5 KB": 5_000, "50 KB": 50_000, "1 MB": 1_000_000}
NOT_MODIFIED = "304"
FLOOR, NGINX = "floor (C, epoll)", "nginx fresh"
PLAIN, FAST, GONE, TCP, UNIX = "hublet", "hublet[fast]", "hublet, Hub gone", "hublet TCP", "hublet Unix"

ORDER = (
    FAST,
    PLAIN,
    GONE,
    TCP,
    UNIX,
    FLOOR,
    NGINX,
    "nginx, upstream gone",
    "varnish grace",
    "squid offline",
)

FASTER = {"5 KB": (1.2, 1.8), "50 KB": (0.9, 1.05), "1 MB": (0.95, 1.04), "304": (1.1, 1.23)}
"""Requests a second to nginx fresh: the least that is wanted, and what would be splendid."""
CHEAPER = {"5 KB": 1.7, "50 KB": 1.2, "1 MB": 1.1, "304": 1.7}
"""Processor time for a request to the floor's: the most that is allowed."""
AHEAD = {"nginx, upstream gone": 2.0, "varnish grace": 2.3, "squid offline": 3.5}
"""Requests a second, with both upstreams gone, at 5 KB."""


def target(kind: str) -> str:
    """As `cn` asks."""
    size = KINDS["5 KB" if kind == NOT_MODIFIED else kind]
    return f"/ide/get-assistant/bench/of-{size}?alwaysUseProxy=false"


@dataclass(frozen=True)
class Shot:
    """One round of one server: requests a second, microseconds of processor time for each, and how much of its core it
    had (less than all of it: whoever asks was the slower one, or others wanted the core)."""

    rate: float
    cost: float
    share: float


class Range:
    """What shoots: wrk, or the load generator of this folder (which also speaks to Unix sockets)."""

    def __init__(self, load: Path | None, seconds: float) -> None:
        self._load, self._seconds = load, seconds
        self._wrk = shutil.which("wrk")
        self._before = [*on_core(CLIENT_CORE), *as_user(THROWAWAY_UID)]

    def shoot(self, server: Server, kind: str) -> Shot:
        spent = Spent(server.pids())
        # wrk knows whole seconds only, and no Unix sockets; TCP and Unix have to be compared by the same tool.
        if self._wrk is not None and self._seconds >= 1 and server.name not in (TCP, UNIX):
            requests, seconds = self._by_wrk(server, kind)
        else:
            requests, seconds = self._by_load(server, kind)
        took = spent.seconds()
        return Shot(requests / seconds, took / requests * 1e6, took / seconds)

    @staticmethod
    def headers(server: Server, kind: str) -> dict[str, str]:
        sent = {"Host": server.host, "Authorization": f"Bearer {DEMO_KEY}", "Accept": "*/*", "User-Agent": "node"}
        return sent | ({"If-None-Match": server.etags[kind]} if kind == NOT_MODIFIED else {})

    def _by_wrk(self, server: Server, kind: str) -> tuple[int, float]:
        said = [word for name, value in self.headers(server, kind).items() for word in ("-H", f"{name}: {value}")]
        url = f"http://127.0.0.1:{server.address}{target(kind)}"
        words = [*self._before, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{self._seconds:.0f}s", *said, url]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=self._seconds + 30)
        found = re.search(r"(\d+) requests in ([\d.]+)(ms|s)", done.stdout)
        if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
            raise RuntimeError(f"{server.name}, {kind}: {done.stdout}")
        return int(found[1]), float(found[2]) / (1000 if found[3] == "ms" else 1)

    def _by_load(self, server: Server, kind: str) -> tuple[int, float]:
        assert self._load is not None
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers(server, kind).items())
        text = f"GET {target(kind)} HTTP/1.1\r\n{lines}\r\n"
        words = [*self._before, str(self._load), server.address, str(CONNECTIONS), str(self._seconds)]
        done = subprocess.run(
            words, input=text, capture_output=True, text=True, check=False, timeout=self._seconds + 30
        )
        requests, seconds, errors, *_ = done.stdout.split() or ("0", "0", done.stderr)
        if errors != "0":
            raise RuntimeError(f"{server.name}, {kind}: {errors} errors {done.stderr}")
        return int(requests), float(seconds)


def measure(report: Report, *, rounds: int, short: bool) -> None:
    """All of this part. Without a compiler and wrk there is nothing that shoots."""
    if shutil.which("cc") is None and shutil.which("wrk") is None:
        report.lacks("cc, wrk", "all of hits")
        return
    with hublets.scratch() as place, ExitStack() as stack:
        load, floor = compiled(place, "load"), compiled(place, "floor")
        servers = _hublets(stack, place, report)
        pages = [Page(target(kind), *_captured(servers[0], kind)) for kind in KINDS]
        servers += _peers(stack, place, floor, pages, report)
        for server in servers:
            _check(server, pages)
        wait_for(lambda: _is_stale(servers), "the answers of a hublet without its Hub are stale", within=60)
        if load is not None:
            first = servers[0]
            host = first.host
            servers.append(Server(TCP, first.address, first.pids, first.etags, host))
            servers.append(Server(UNIX, str(place / "first" / "api" / "api.sock"), first.pids, first.etags, host))
        shots = _rounds(servers, Range(load, 0.4 if short else 2.0), rounds)
    _tell(report, shots)


def _hublets(stack: ExitStack, place: Path, report: Report) -> list[Server]:
    """Those that are measured: with uvloop where there is one, without it, and one whose Hub has gone."""
    world = World(sizes=tuple(KINDS.values()))
    servers = []

    def server(name: str, daemon: RunningDaemon) -> Server:
        return Server(name, str(daemon.port), lambda: family(daemon.process.pid))

    hub = stack.enter_context(hub_of(world, before=on_core(CLIENT_CORE)))
    names = (FAST, PLAIN) if hublets.HAS_UVLOOP else (PLAIN,)
    for number, name in enumerate(names):
        where = place / ("first" if number == 0 else "second")
        home = hublets.home_of(where, hub.url, {"serve": {"socket": where / "api" / "api.sock"}})
        daemon = stack.enter_context(hublets.daemon_of(home, fast=name == FAST))
        hublets.synced(daemon)
        servers.append(server(name, daemon))
        if name == FAST and not hublets.uses_uvloop(daemon):
            report.notes.append("uvloop is installed, but hublet does not use it")
    if not hublets.HAS_UVLOOP:
        report.lacks("uvloop", "hublet[fast]")
    passing = stack.enter_context(hub_of(world, before=on_core(CLIENT_CORE)))
    # Short, so that the answers grow old while the others start; the passes that fail meanwhile back off to it.
    home = hublets.home_of(place / "gone", passing.url, {"sync": {"every": "15s"}})
    daemon = stack.enter_context(hublets.daemon_of(home))
    hublets.synced(daemon)
    passing.stop()
    servers.append(server(GONE, daemon))
    return servers


def _peers(stack: ExitStack, place: Path, floor: Path | None, pages: Sequence[Page], report: Report) -> list[Server]:
    if floor is None:
        report.lacks("cc", "the floor and all peers, which have their pages from it")
        return []
    peers = Peers(stack, place, floor, DEMO_KEY, pages)
    found = {
        "nginx": [peers.nginx(upstream=True), peers.nginx(upstream=False)],
        "varnish": [peers.varnish()],
        "squid": [peers.squid()],
    }
    for tool, servers in found.items():
        if None in servers:
            report.lacks(tool, "its columns")
    return [peers.floor(), *(server for servers in found.values() for server in servers if server is not None)]


def _captured(server: Server, kind: str) -> tuple[list[tuple[str, str]], bytes]:
    status, headers, body = server.ask(target(kind), {"Authorization": f"Bearer {DEMO_KEY}"})
    assert status == 200, (status, body)
    return [(name.title(), value) for name, value in headers.items()], body


def _check(server: Server, pages: Sequence[Page]) -> None:
    """Each answers with the same body, refuses another bearer and another Host, and knows its own ETag."""
    known = {"Authorization": f"Bearer {DEMO_KEY}"}
    for kind, page in zip(KINDS, pages, strict=True):
        status, headers, body = server.ask(page.target, known)
        assert (status, body) == (200, page.body), (server.name, kind, status)
        server.etags[kind] = headers["etag"]
    server.etags[NOT_MODIFIED] = server.etags["5 KB"]
    asked = Range.headers(server, NOT_MODIFIED)
    assert server.ask(target(NOT_MODIFIED), asked)[0] == 304, server.name
    assert server.ask(target("5 KB"), known | {"Host": "elsewhere"})[0] == 403, server.name
    assert server.ask(target("5 KB"), {"Authorization": "Bearer con_another"})[0] in (401, 403), server.name


def _is_stale(servers: Sequence[Server]) -> bool:
    gone = next(server for server in servers if server.name == GONE)
    return "stale" in gone.ask(target("5 KB"), {"Authorization": f"Bearer {DEMO_KEY}"})[1]["cache-status"]


def _kinds(name: str) -> tuple[str, ...]:
    """What a server is asked for."""
    if name in (TCP, UNIX):
        return ("5 KB", "50 KB")
    return (*KINDS, NOT_MODIFIED) if name in (FLOOR, NGINX, PLAIN, FAST) else ("5 KB",)


def _rounds(servers: Sequence[Server], range_: Range, rounds: int) -> dict[tuple[str, str], list[Shot]]:
    """Shots by server and kind, one a round; those of a round next to each other."""
    shots: dict[tuple[str, str], list[Shot]] = defaultdict(list)
    for number in range(rounds):
        for kind in (*KINDS, NOT_MODIFIED):
            asked = [server for server in servers if kind in _kinds(server.name)]
            for server in asked if number % 2 else reversed(asked):
                shots[server.name, kind].append(range_.shoot(server, kind))
    return shots


def _tell(report: Report, shots: dict[tuple[str, str], list[Shot]]) -> None:
    ours = FAST if (FAST, "5 KB") in shots else PLAIN

    def ratio(one: tuple[str, str], other: tuple[str, str], what: str) -> float | None:
        if one not in shots or other not in shots:
            return None
        pairs = zip(shots[one], shots[other], strict=True)
        return median([getattr(a, what) / getattr(b, what) for a, b in pairs])

    names = [name for name in ORDER if (name, "5 KB") in shots]
    kinds = (*KINDS, NOT_MODIFIED)

    def grid(title: str, unit: str, value: Callable[[str, str], float | None]) -> None:
        cells = {name: {kind: value(name, kind) for kind in kinds if kind in _kinds(name)} for name in names}
        rows = {name: {kind: each for kind, each in row.items() if each is not None} for name, row in cells.items()}
        report.add_grid("hits", title, unit, kinds, {name: row for name, row in rows.items() if row})

    grid("requests a second", "req/s", lambda name, kind: median([each.rate for each in shots[name, kind]]))
    grid("requests a second to nginx fresh", "x", lambda name, kind: ratio((name, kind), (NGINX, kind), "rate"))
    grid("CPU us a request", "us", lambda name, kind: median([each.cost for each in shots[name, kind]]))
    grid("share of its core", "", lambda name, kind: median([each.share for each in shots[name, kind]]))
    grid("CPU a request to the floor", "x", lambda name, kind: ratio((name, kind), (FLOOR, kind), "cost"))
    for kind in kinds:
        least, splendid = FASTER[kind]
        found = ratio((ours, kind), (NGINX, kind), "rate")
        if found is not None:
            report.add("hits", f"{kind}, {ours} to nginx fresh (stretch {splendid})", found, "x req/s", f">= {least}")
    for kind in kinds:
        found = ratio((ours, kind), (FLOOR, kind), "cost")
        if found is not None:
            report.add("hits", f"{kind}, {ours} to the floor", found, "x CPU", f"<= {CHEAPER[kind]}")
    for name, least in AHEAD.items():
        found = ratio((GONE, "5 KB"), (name, "5 KB"), "rate")
        if found is not None:
            report.add("hits", f"5 KB, {GONE}, to {name}", found, "x req/s", f">= {least}")
    for kind in ("5 KB", "50 KB"):
        found = ratio((UNIX, kind), (TCP, kind), "rate")
        if found is not None:
            report.add("hits", f"{kind}, Unix socket to TCP", found, "x req/s", ">= 1.2")
