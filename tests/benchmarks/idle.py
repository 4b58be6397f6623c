"""Idle: what the daemon holds and how often it wakes when nobody asks, beside its peers in the same minute.

Memory is that of the process and its children: before any pass (nobody is logged in yet) and after one, of an almost
empty Hub and of one with 200 assistants, whose own size is taken off and named. A wake-up is a context switch of any
thread, from /proc/PID/task/*/status.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hublet.demo.data import DEMO_KEY
from tests.benchmarks import hublets
from tests.benchmarks.hub import World, hub_of
from tests.benchmarks.peers import Page, Peers, Server, compiled
from tests.benchmarks.processes import CLIENT_CORE, Memory, Spent, family, memory, on_core, switches
from tests.benchmarks.table import Report
from tests.running import Home, RunningDaemon

EMPTY, FULL = World(number=1, size=500), World(number=200, size=20_000)
MOST_MB = 36
_SETTLE = 3.0


@dataclass(frozen=True)
class Quiet:
    """A while in which nothing was asked: wake-ups and milliseconds of processor time, both a second."""

    wakeups: float
    cpu: float


def measure(report: Report, *, rounds: int, short: bool) -> None:
    """All of this part; `rounds` is of no use here: the while is long enough."""
    seconds = 10.0 if short else 60.0
    with hublets.scratch() as place, ExitStack() as stack:
        daemons = {name: _before_and_after(stack, place / name, world, name, report) for name, world in _worlds()}
        peers = _peers(stack, place, report)
        for peer in peers:
            _tell(report, peer.name, memory(peer.pids()))
        pids = {f"hublet, {name}": family(daemon.process.pid) for name, daemon in daemons.items()}
        pids |= {peer.name: peer.pids() for peer in peers}
        time.sleep(_SETTLE)
        for name, quiet in watched(pids, seconds).items():
            own = name.startswith("hublet")
            what = f"{name}, over {seconds:.0f} s"
            report.add("idle", f"wake-ups, {what}", quiet.wakeups, "1/s", "<= 0.1" if own else None, counted=own)
            report.add("idle", f"processor time, {what}", quiet.cpu, "ms/s", "< 0.02" if own else None)


def watched(pids: dict[str, list[int]], seconds: float) -> dict[str, Quiet]:
    """All of them at once: the same while for each."""
    switched = {name: switches(those) for name, those in pids.items()}
    spent = {name: Spent(those) for name, those in pids.items()}
    time.sleep(seconds)
    return {
        name: Quiet((switches(those) - switched[name]) / seconds, spent[name].seconds() * 1000 / seconds)
        for name, those in pids.items()
    }


def _worlds() -> tuple[tuple[str, World], ...]:
    return ("almost empty Hub", EMPTY), ("200 of 20 KB", FULL)


def _before_and_after(stack: ExitStack, place: Path, world: World, name: str, report: Report) -> RunningDaemon:
    hub = stack.enter_context(hub_of(world, before=on_core(CLIENT_CORE)))
    home = Home.make(place, hub.url, settings={"hub": {"size_limit": "1GiB"}})
    if world is EMPTY and hublets.HAS_UVLOOP:
        with hublets.daemon_of(home) as fast:
            time.sleep(_SETTLE)
            _tell(report, "hublet[fast] before a pass", memory(family(fast.process.pid)), aim=True)
    daemon = stack.enter_context(hublets.daemon_of(home, fast=False))
    time.sleep(_SETTLE)  # what is put off at the start is loaded by then
    if world is EMPTY:
        _tell(report, "hublet before a pass", memory(family(daemon.process.pid)), aim=True)
    home.login(DEMO_KEY)
    hublets.synced(daemon)
    time.sleep(_SETTLE)
    held = memory(family(daemon.process.pid))
    _tell(report, f"hublet after a pass, {name}", held, aim=world is EMPTY)
    if world is FULL:
        own = world.number * world.size / 1e6
        report.add("idle", f"RSS, the same, less the data ({own:.0f} MB)", held.rss - own, "MB", f"<= {MOST_MB}")
    return daemon


def _tell(report: Report, name: str, held: Memory, *, aim: bool = False) -> None:
    report.add("idle", f"RSS, {name}", held.rss, "MB", f"<= {MOST_MB}" if aim else None)
    if held.pss:
        report.add("idle", f"of it shared out by users (Pss), {name}", held.pss, "MB")
        report.add("idle", f"of it private, {name}", held.private, "MB")


def _peers(stack: ExitStack, place: Path, report: Report) -> list[Server]:
    floor = compiled(place, "floor")
    if floor is None:
        report.lacks("cc", "the floor and all peers, which have their pages from it")
        return []
    page = Page("/page", [("Content-Type", "application/json"), ("ETag", '"1"')], b"{}")
    peers = Peers(stack, place, floor, DEMO_KEY, [page])
    found = {"nginx": peers.nginx(upstream=True), "varnish": peers.varnish(), "squid": peers.squid()}
    for tool, server in found.items():
        if server is None:
            report.lacks(tool, "its columns")
    return [peers.floor(), *(server for server in found.values() if server is not None)]
