"""Growth: the same measured with ever more assistants of 20 KB, over ever more organizations.

What is written is counted from outside: each writing of a record gives it another salt. What is serialised and how long
the event loop is held is counted by a daemon that watches itself (probed.py), everything else on one that does not.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hublet.demo.data import DEMO_KEY
from tests.benchmarks import hublets
from tests.benchmarks.hits import CONNECTIONS
from tests.benchmarks.hub import RunningHub, World, hub_of
from tests.benchmarks.peers import compiled
from tests.benchmarks.processes import CLIENT_CORE, Spent, family, free_port, memory, on_core
from tests.benchmarks.start import first_answer, program, started
from tests.benchmarks.table import Report, median, slope
from tests.running import Home, RunningDaemon

POINTS = ((10, 1), (100, 1), (1000, 10), (3000, 30), (10_000, 100))
SHORT_POINTS = ((10, 1), (100, 1), (600, 6))
LONGEST_HOLD = 5.0
HISTORY = ("timeline", "revision", "document")
"""Rows beside the records: what was, and the ledger of when the Hub said what."""


@dataclass
class Grown:
    """What was measured with so many assistants. Times in seconds, memory in MB."""

    number: int
    organizations: int
    probes: dict[str, Any] = field(default_factory=dict)
    writes: dict[str, Mapping[str, int]] = field(default_factory=dict)
    passes: dict[str, float] = field(default_factory=dict)
    received: dict[str, float] = field(default_factory=dict)
    rss: float = 0.0
    start: float = 0.0
    hit: float = 0.0
    """Processor time: what the clock says moves with whatever else the machine does."""

    def records(self, which: str) -> int:
        return sum(count for kind, count in self.writes[which].items() if kind not in HISTORY)


def measure(report: Report, *, rounds: int, short: bool) -> None:
    """All of this part; `rounds` is how often each start is timed (three at the most)."""
    with hublets.scratch() as place:
        load = compiled(place, "load")
        if load is None:
            report.lacks("cc", "hit time against number")
        points = SHORT_POINTS if short else POINTS
        grown = [grow(place, *point, load=load, starts=min(3, rounds)) for point in points]
    tell(report, grown)


def grow(place: Path, number: int, organizations: int, *, load: Path | None, starts: int) -> Grown:
    """One size, from an empty cache on."""
    grown = Grown(number, organizations)
    with hub_of(World(number=number, organizations=organizations), before=on_core(CLIENT_CORE)) as hub:
        port = free_port()
        settings = {"serve": {"port": port}}
        home = hublets.home_of(place / f"of-{number}-{organizations}", hub.url, settings, key=False)
        _watch_itself(grown, home, hub)
        target = "/ide/get-assistant/org0/a0?alwaysUseProxy=false&organizationId=org_0"
        times = []
        for _ in range(starts):
            with started(home, [*program(), "run"], home.path / "start.log") as (process, began):
                times.append(first_answer(port, target) - began)
                process.terminate()
                process.wait()
        grown.start = median(times)
        with hublets.daemon_of(home, fast=True) as daemon:
            hublets.synced(daemon)
            for which in ("nothing changed", "one changed"):
                _pass(grown, home, hub, which)
            time.sleep(1)
            grown.rss = memory(family(daemon.process.pid)).rss
            if load is not None:
                grown.hit = _hit(load, daemon, target)
    return grown


def _watch_itself(grown: Grown, home: Home, hub: RunningHub) -> None:
    """The first pass, one without a change and one with, by a daemon that counts and times."""
    # uvloop runs its callbacks itself: only of asyncio's own can be told which one held the loop.
    with home.daemon(env=hublets.without_uvloop(home), program=hublets.probed(home)) as daemon:
        time.sleep(2)
        hublets.seen(daemon)  # what the start took is another figure
        home.login(DEMO_KEY)
        hublets.synced(daemon, within=600)
        grown.probes["first"] = hublets.seen(daemon)
        time.sleep(1)
        grown.probes["none"] = hublets.seen(daemon)
        _ask_list(daemon)  # a body may be made when it is first asked for
        hublets.seen(daemon)
        for which in ("nothing changed", "one changed"):
            if which == "one changed":
                hub.tell("POST", "change?number=1")
            hublets.sync(home)
            _ask_list(daemon)
            grown.probes[which] = hublets.seen(daemon)


def _ask_list(daemon: RunningDaemon) -> None:
    assert daemon.ask("GET", "/ide/list-assistants?organizationId=org_0").status == 200


def _pass(grown: Grown, home: Home, hub: RunningHub, which: str) -> None:
    if which == "one changed":
        hub.tell("POST", "change?number=1")
    before = hublets.rows(home)
    hub.tell("POST", "forget")
    grown.passes[which] = hublets.sync(home)["took"]
    grown.received[which] = hub.tell("GET", "told")["sent"]
    grown.writes[which] = hublets.written(before, hublets.rows(home))


def _hit(load: Path, daemon: RunningDaemon, target: str) -> float:
    spent = Spent([daemon.process.pid])
    head = f"GET {target} HTTP/1.1\r\nHost: localhost:{daemon.port}\r\nAuthorization: Bearer {DEMO_KEY}\r\n\r\n"
    words = [*on_core(CLIENT_CORE), str(load), str(daemon.port), str(CONNECTIONS), "1"]
    done = subprocess.run(words, input=head, capture_output=True, text=True, check=True, timeout=60)
    requests, _, errors, *_ = done.stdout.split()
    assert errors == "0", done.stdout
    return spent.seconds() / int(requests)


def tell(report: Report, grown: Sequence[Grown]) -> None:
    """The figures, and the lines through them."""
    for one in grown:
        what = f"{one.number:,} over {one.organizations}"
        counts = (
            ("records written, nothing changed", one.records("nothing changed"), "= 0"),
            ("records written, one changed", one.records("one changed"), "= 1"),
            ("bodies serialised, nothing changed", one.probes["nothing changed"]["renders"], "= 0"),
            ("bodies serialised, one changed", one.probes["one changed"]["renders"], "= 1"),
        )
        for name, count, aim in counts:
            report.add("growth", f"{what}: {name}", count, "", aim, counted=True)
        report.add("growth", f"{what}: a pass, nothing changed", one.passes["nothing changed"] * 1000, "ms")
        report.add("growth", f"{what}: received in it", one.received["nothing changed"] / 1e6, "MB")
        report.add("growth", f"{what}: start to the first cached 200", one.start * 1000, "ms")
        report.add("growth", f"{what}: RSS", one.rss, "MB")
        if one.hit:
            report.add("growth", f"{what}: a hit of 20 KB", one.hit * 1e6, "CPU us")
        for which, probe in one.probes.items():
            said = "without a pass" if which == "none" else f"a pass, {'everything new' if which == 'first' else which}"
            hold = f"<= {LONGEST_HOLD}" if which != "none" and one is grown[-1] else None
            report.add("growth", f"{what}: longest hold of the loop, {said}", probe["late"] * 1000, "ms", hold)
            took, where = probe["longest"]["thread"]
            report.add("growth", f"{what}: most processor time of one callback, {said}", took * 1000, "ms", hold)
            if one is grown[-1]:
                report.notes.append(f"growth, {what}: longest callback, {said}: {where}")
    changed = ", ".join(f"{count} {kind}" for kind, count in sorted(grown[-1].writes["one changed"].items()))
    report.notes.append(f"growth: with one changed assistant, rows written in all: {changed}")
    if len(grown) > 2:
        _lines(report, grown)


def _lines(report: Report, grown: Sequence[Grown]) -> None:
    thousands = [one.number / 1000 for one in grown]
    per = "per 1,000"
    for name, unit, values in (
        ("start", f"ms {per}", [one.start * 1000 for one in grown]),
        ("RSS", f"MB {per}", [one.rss for one in grown]),
        ("a hit", f"CPU us {per}", [one.hit * 1e6 for one in grown]),
    ):
        steep, fit = slope(list(zip(thousands, values, strict=True)))
        report.add("growth", f"{name}, slope", steep, unit)
        report.add("growth", f"{name}, how well a line fits (r²)", fit)
    received = [one.received["nothing changed"] / 1e6 for one in grown]
    if max(received) > 2 * min(received):
        steep, fit = slope(
            [(size, one.passes["nothing changed"] * 1000) for size, one in zip(received, grown, strict=True)]
        )
        report.add("growth", "a pass with nothing changed, slope", steep, "ms per MB received")
        report.add("growth", "a pass with nothing changed, how well a line fits (r²)", fit)
