"""What a day costs the Hub, with hublet and without: three IDE windows and a terminal, each as it was seen to ask.

Nothing is waited for: hublet runs in process, with its own schedule, on a clock that is put forward, before the demo
Hub with its validators. Counted on the Hub's side are requests, and bytes both ways as they would be on the wire,
compressed where the client takes that. What no cache may answer (token refreshes, model calls, background agents) is
the same with and without, and in neither count.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from hublet.core.account import Account, origin_of
from hublet.core.secretstr import SecretStr
from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.reply import Reply
from hublet.schedule import Passes
from tests.benchmarks import hublets
from tests.benchmarks.table import Report
from tests.daemon.test_a_day import MOMENTS, Request, is_passed
from tests.in_process import Clock, InProcess, in_process

DAY = 24 * 3600
WINDOWS = 3
WORK = (9 * 3600, 17 * 3600)
"""When windows are worked in; they stay open for the night, and so does the terminal."""
POLL = 5
POLLED: Request = ("GET", "/ide/free-trial-status", None)
SLUGS: Request = ("GET", "/ide/list-assistant-full-slugs", None)
"""What a window of a build before April 2025 asks as often. (The Hub always refuses it: 429.)"""
ASKING_MOMENTS = sum(any(path.startswith("/registry/") for _, path, _ in moment) for moment in MOMENTS)
"""How often in its day a window asks for packages."""
SPENT = ("/model-proxy/", "/ide/get-models-add-on-checkout-url")
"""Of what is passed through, that by which hublet knows that credits are spent."""
STARTED: tuple[Request, ...] = (
    ("GET", "/auth/scope", None),
    ("GET", "/ide/list-assistants?alwaysUseProxy=false", None),
    ("GET", "/ide/get-assistant/continuedev/default-cli-config", None),
)
"""The first questions of an interactive `cn`."""
HEADERS = {
    "authorization": f"Bearer {DEMO_KEY}",
    "accept": "*/*",
    "accept-encoding": "gzip, deflate, br",
    "user-agent": "node-fetch",
    "host": "api.continue.dev",
}
_COMPRESSED_FROM = 256


@dataclass
class Counting(Hub):
    """A Hub that counts what it is asked and what that weighs."""

    asked: int = 0
    unchanged: int = 0
    weight: int = 0
    by_path: dict[str, int] = field(default_factory=dict)

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock, validators=True)
        self.asked = self.unchanged = self.weight = 0
        self.by_path = {}
        self._packed: dict[bytes, int] = {}

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        reply = super().respond(method, target, headers, body)
        if is_passed(target):
            return reply
        self.asked += 1
        self.unchanged += reply.status == 304
        path = target.partition("?")[0]
        self.by_path[path] = self.by_path.get(path, 0) + 1
        self.weight += len(f"{method} {target} HTTP/1.1\r\n\r\n") + _lines(headers.items()) + len(body)
        self.weight += len("HTTP/1.1 200 OK\r\n\r\n") + _lines(reply.headers) + self._size(reply, headers)
        self.requests.clear()
        return reply

    def _size(self, reply: Reply, headers: Mapping[str, str]) -> int:
        whole = reply.read()
        if "gzip" not in headers.get("accept-encoding", "") or len(whole) < _COMPRESSED_FROM:
            return len(whole)
        name = hashlib.blake2b(whole, digest_size=16).digest()
        if name not in self._packed:
            self._packed[name] = len(gzip.compress(whole, 6))
        return self._packed[name]


def _lines(headers: object) -> int:
    assert hasattr(headers, "__iter__")
    return sum(len(name) + len(value) + 4 for name, value in headers)


def the_day(hours: float = 24, *, polling: bool = False) -> Iterator[tuple[float, Request]]:
    """Everything that the four ask, with its second of the day, in order; `polling` are windows of early builds."""
    until = hours * 3600
    asked: list[tuple[float, Request]] = [(second, POLLED) for second in range(0, int(until), POLL)]
    if polling:
        asked += [(second, SLUGS) for second in range(0, int(until), POLL) for _ in range(WINDOWS)]
    asked += [(0, request) for request in STARTED]
    begin, end = (at * hours / 24 for at in WORK)
    pace = (end - begin) / len(MOMENTS)
    for window in range(WINDOWS):
        asked += [
            (begin + number * pace + window, request)
            for number, moment in enumerate(MOMENTS)
            for request in moment
            if not is_passed(request[1]) or request[1].startswith(SPENT)
        ]
    return iter(sorted(asked, key=lambda one: one[0]))


def measure(report: Report, *, rounds: int, short: bool) -> None:
    """All of this part; a short day has two hours."""
    hours = 2 if short else 24
    for polling in (False, True):
        builds = " of early builds" if polling else ""
        what = f"{hours} h of {WINDOWS} windows{builds} and a terminal"
        without, with_hublet = both(hours, polling=polling)

        def add(name: str, value: float, unit: str = "", aim: str | None = None, what: str = what) -> None:
            report.add("upstream", f"{what}: {name}", value, unit, aim, counted=True)

        add("requests to the Hub without hublet", without.asked)
        add("with it", with_hublet.asked)
        add("of those answered 304", with_hublet.unchanged)
        add("requests, without to with", without.asked / with_hublet.asked, "x", ">= 100")
        add("bytes without hublet", without.weight / 1e6, "MB")
        add("bytes with it", with_hublet.weight / 1e6, "MB")
        add("bytes, without to with", without.weight / with_hublet.weight, "x", ">= 100")
        most = sorted(with_hublet.by_path.items(), key=lambda one: -one[1])[:6]
        report.notes.append(f"upstream, {what}, asked most: " + ", ".join(f"{path} {times}" for path, times in most))


def both(hours: float, *, polling: bool = False) -> tuple[Counting, Counting]:
    """The Hub after such a day without hublet, and with it."""
    without = Counting(Clock())
    for _, (method, path, value) in the_day(hours, polling=polling):
        without.respond(method, path, HEADERS, b"" if value is None else json.dumps(value).encode())
    with hublets.scratch() as place:
        return without, asyncio.run(_lived(place, hours, polling))


class Due:
    """The schedule's timer, moved by the day's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.at = inf
        self._then: Callable[[], None] = lambda: None

    def set(self, seconds: float, then: Callable[[], None]) -> None:
        self.at, self._then = self._clock.now + seconds, then

    def clear(self) -> None:
        self.at = inf

    close = clear

    def fire(self) -> None:
        self.at = inf
        self._then()


async def _lived(place: Path, hours: float, polling: bool) -> Counting:
    """The day with hublet in between: passes as they are scheduled, and whatever clients' questions lead to."""
    clock = Clock()
    hub = Counting(clock)
    began, timer = clock.now, Due(clock)
    async with in_process(place, hub=hub, clock=clock) as it:
        passes = Passes(it.service, timer=lambda: timer, chance=random.Random(7).random)
        await it.service.keep_account(Account(SecretStr(DEMO_KEY), origin_of(it.service.config.hub.url)))
        passes.begin()
        await _settled(it, passes)
        for second, (method, path, value) in the_day(hours, polling=polling):
            while began + second >= timer.at:
                clock.now = timer.at
                timer.fire()
                await _settled(it, passes)
            clock.now = began + second
            response = await it.ask(method, path, value, headers={"Authorization": f"Bearer {DEMO_KEY}"})
            if not isinstance(response.body, bytes):
                assert [piece async for piece in response.body]
            if not is_passed(path):
                assert response.status == (404 if "gone-model" in path else 200), (path, response.status)
            await _settled(it, passes)
        await passes.stop()
    return hub


async def _settled(it: InProcess, passes: Passes) -> None:
    """Until what a question or the time has set off in the background is done."""
    while it.sync.refreshing.task or it.sync._asking or passes._task:
        await asyncio.sleep(0)
