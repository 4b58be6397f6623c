"""A hublet whose passes begin by the real schedule, with a clock and a timer that the test moves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hublet.core import operations as ops
from hublet.core.outcomes import PassReport, Unreachable
from hublet.core.pace import Surroundings
from hublet.schedule import Passes
from hublet.upstream.order import Ordered, Word, made
from tests.in_process import InProcess, in_process

ON_THE_PLUG = Surroundings()
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


class FakeTimer:
    """Holds what is due, until the test lets the time pass."""

    def __init__(self) -> None:
        self.due: tuple[float, Callable[[], None]] | None = None

    def set(self, seconds: float, then: Callable[[], None]) -> None:
        self.due = (seconds, then)

    def clear(self) -> None:
        self.due = None

    close = clear


class Nowhere:
    """An archive that keeps nothing."""

    def save(self, *_: object, **__: object) -> None:
        """Nothing."""

    def tidy(self) -> None:
        """Nothing."""


@dataclass
class Scheduled:
    """A hublet whose passes begin by a fake timer; `look` is what its machine says."""

    it: InProcess
    passes: Passes
    timer: FakeTimer
    look: Surroundings

    @property
    def wholes(self) -> int:
        """How many passes there were."""
        return sum(order.whole for order in self.it.orders)

    def change(self, **values: bool) -> None:
        """The plug or the cable is put in or out, and the machine says so."""
        self.look = replace(self.look, **values)
        self.passes.arrange()

    def go_away(self) -> None:
        """The Hub is away for long: every asking ends at once and keeps nothing, so that a week of them is quick."""

        async def run(ordered: Ordered, say: Callable[[Word], None]) -> PassReport:
            order = await made(ordered)
            self.it.orders.append(order)
            asked = order.ask or (ops.ListOrganizations(), ops.GetPolicy())
            return PassReport(tuple((each, Unreachable("away")) for each in asked), whole=order.whole)

        self.it.sync._run, self.it.sync._archive = run, Nowhere()

    async def quiet(self) -> None:
        """Until no pass runs."""
        while self.passes._task is not None or self.it.sync._asking or self.it.sync.refreshing.task:
            await asyncio.sleep(0)

    async def next(self) -> float:
        """Let the time pass until the next pass, and let it run; returns how long it was."""
        assert self.timer.due is not None
        seconds, then = self.timer.due
        self.timer.due = None
        self.it.clock.advance(seconds)
        then()
        await self.quiet()
        return seconds


@asynccontextmanager
async def scheduled(
    path: Path, settings: Mapping[str, Mapping[str, object]] | None = None, look: Surroundings = ON_THE_PLUG
) -> AsyncIterator[Scheduled]:
    """Logged in and synced; the schedule has begun, with its first pass behind it. Passes that nobody waits for come as
    often as others, unless the settings say something else (test_unasked.py)."""
    sync = {"unasked": "normal", **(settings or {}).get("sync", {})}
    async with in_process(path, settings={**(settings or {}), "sync": sync}) as it:
        await it.log_in()
        timer = FakeTimer()
        # The same dice every time: a test that fails can be run again.
        passes = Passes(it.service, timer=lambda: timer, look=lambda: here.look, chance=random.Random(7).random)
        here = Scheduled(it, passes, timer, look)
        it.orders.clear()
        passes.begin()
        await here.quiet()
        yield here
        await passes.stop()
