"""When a pass begins: when its time has come, or at once for one of these reasons.

start, the machine wakes, a login, another Hub        soon
a client finds an answer older than the interval      asked_for
the network is back, the Hub answers again            network_back, hub_back: one pass, however often it is said

While nothing waits for news, on battery, and on a metered connection, intervals stretch, or no pass begins by itself.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from hublet.core.outcomes import PassReport, is_answer
from hublet.core.pace import Pace, Surroundings, asked_to_wait, calm, next_pass_in
from hublet.passes.summary import Summary
from hublet.passes.sync import Sync
from hublet.serve.service import Service

if TYPE_CHECKING:
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

log = logging.getLogger("hublet")


class Timer(Protocol):
    """Calls a function after some seconds. It holds one such call at a time: setting another replaces it."""

    def set(self, seconds: float, then: Callable[[], None]) -> None: ...

    def clear(self) -> None: ...

    def close(self) -> None: ...


class Scheduled:
    """The Timer of a running daemon."""

    def __init__(self) -> None:
        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        # A laptop that slept through the time of a job runs it once when it wakes. By default it would be skipped.
        self._scheduler: AsyncIOScheduler = AsyncIOScheduler(
            job_defaults={"misfire_grace_time": None, "coalesce": True}
        )
        self._scheduler.start()

    def set(self, seconds: float, then: Callable[[], None]) -> None:
        from datetime import UTC, datetime, timedelta

        async def due() -> None:  # a coroutine: a plain function would be run in a thread, without an event loop
            then()

        when = datetime.now(UTC) + timedelta(seconds=seconds)
        self._scheduler.add_job(due, "date", run_date=when, id="pass", replace_existing=True)

    def clear(self) -> None:
        if self._scheduler.get_job("pass") is not None:
            self._scheduler.remove_job("pass")

    def close(self) -> None:
        self._scheduler.shutdown(wait=False)


class Passes:
    """Begins the passes of a service; belongs to one event loop.

    Transitions: begin → (soon | network_back | hub_back | arrange)* → stop, and perhaps begin again with another store.
    `look` gives the surroundings, `chance` a random number from 0 to 1; `told` is called when `service.next_pass_at`
    has changed.
    """

    def __init__(
        self,
        service: Service,
        *,
        timer: Callable[[], Timer] = Scheduled,
        look: Callable[[], Surroundings] = Surroundings,
        chance: Callable[[], float] = random.random,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._service, self._make_timer, self._look = service, timer, look
        self._draw, self._told = chance, told
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None
        self._since, self._chance = service.clock(), 0.5
        self._again = self._afresh = False
        self._forgiven = self._in_vain = 0
        self._back_at = float("-inf")
        self._by: float | None = None
        """The latest time for the next pass, whatever the backoff says."""
        self._owed = False
        """Whether a pass was to begin while the Hub had asked to wait; it begins when that time is over."""

    @property
    def pace(self) -> Pace:
        """The pace of passes on this machine now."""
        return self._service.machine_pace

    def begin(self) -> None:
        """Begin to make passes; does nothing while the service's store is not open."""
        sync = self._sync
        if sync is None:
            return
        self._timer = self._make_timer()
        if self._logged_in not in self._service.on_login:
            self._service.on_login.append(self._logged_in)
        if self._heard not in sync.on_judged:
            sync.on_judged.append(self._heard)
        sync.refreshing.begin_pass = self.asked_for
        self._service.events.on_listen = self.arrange
        self._owed = False
        self._count_anew()
        if self.pace != "pause":
            self.soon()

    async def stop(self) -> None:
        """End the running pass, and begin no other."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None  # a task that was cancelled before it began has not done so itself

    def soon(self, *, afresh: bool = False) -> None:
        """Begin a pass now, or as soon as the Hub may be asked. If one runs already, another follows only if that one
        fails, or if it has to be `afresh`: with another key, or from another Hub."""
        if self._timer is None:
            return
        if self._task is not None:
            self._again, self._afresh = True, self._afresh or afresh
            return
        self._by = None
        if self._wait() > 0:
            self._owed = True
            self.arrange()
            return
        self._owed = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name="scheduled pass")

    def asked_for(self) -> bool:
        """A client has found something older than the interval: begin a pass, unless none may begin by itself or the
        Hub can't be asked now. Returns whether one has begun, or runs."""
        sync = self._sync
        if self._timer is None or self.pace == "pause" or sync is None or not sync.may_ask:
            return False
        self.soon()
        return True

    def woken(self) -> None:
        """The machine was asleep, and whatever was due meanwhile is due now. Or its clock was set: no age is right."""
        if self.pace != "pause":
            log.info("the machine was asleep, or its clock was set: syncing")
            self.soon()
        else:
            self.arrange()  # the timer goes by the wall clock

    def network_back(self) -> None:
        """There is a network again: a pass begins, and the failures without a network don't count for the backoff."""
        if self._sync is not None and self.pace != "pause":
            self._back("the network is back", forgiving=True)

    def hub_back(self) -> None:
        """The Hub has answered a client, although the last passes have failed: a pass begins."""
        if self._sync is not None and self._sync.state.ledger.failures:
            self._back("the Hub answers again")

    def arrange(self) -> None:
        """Set the time of the next pass, by the ledger and by the surroundings as they are now."""
        service, sync = self._service, self._sync
        if self._timer is None or sync is None:
            return
        self._notice(self._look())
        now, ledger = service.clock(), sync.state.ledger
        # While the Hub is away it is looked for even if nothing waits for news, so that the next client finds it there.
        pace = self.pace if ledger.failures else service.pace
        if not ledger.failures:
            self._forgiven, self._in_vain, self._by = 0, 0, None
        wait = next_pass_in(
            ledger, self._since, interval=sync.plan.interval, chance=self._chance, pace=pace,
            longest=sync.plan.longest, forgiven=self._forgiven,
        )  # fmt: skip
        if self._owed:
            wait = self._wait() + now - self._since
        elif self._by is not None:
            wait = min(self._by - self._since, wait if wait is not None else float("inf"))
        if wait is None:
            service.next_pass_at = None
            self._timer.clear()
        else:
            # Counted from the last pass, so that a plug or a cable that is put in and out can't put the next one off
            # for ever. Nor can a clock that was set back.
            left = min(wait, max(0.0, self._since + wait - now))
            service.next_pass_at = now + left
            self._timer.set(left, self.soon)
        self._told()

    # Within

    @property
    def _sync(self) -> Sync | None:
        return self._service.sync

    def _logged_in(self) -> None:
        self.soon(afresh=True)

    def _wait(self) -> float:
        """For how many seconds the Hub has asked to be left alone."""
        sync = self._sync
        return asked_to_wait(sync.state.ledger, self._service.clock()) if sync is not None else 0.0

    def _heard(self, report: PassReport, _: Summary) -> None:
        if not report.whole and not report.broken:
            if any(is_answer(*told) for told in report.outcomes):
                self.hub_back()
        elif self._task is None:  # somebody else's pass, such as `hublet sync`: the next one is counted from it
            self._owed = False
            self._count_anew()

    def _back(self, why: str, *, forgiving: bool = False) -> None:
        """Begin a pass now. If one that began for such a reason has failed just before, it begins somewhat later."""
        now, sync = self._service.clock(), self._sync
        assert sync is not None
        failures, wait = sync.state.ledger.failures, calm(self._in_vain, sync.plan.interval)
        if 0 <= now - self._back_at < wait:
            if failures:
                self._by = self._back_at + wait
                if self._task is None:
                    self.arrange()
            return
        log.info("%s: syncing", why)
        if forgiving and not self._in_vain:
            self._forgiven = failures
        self._in_vain += 1
        self._back_at = now
        self.soon()

    def _count_anew(self) -> None:
        """Set the time of the next pass, counted from now on."""
        self._since, self._chance = self._service.clock(), self._draw()
        self.arrange()

    def _notice(self, surroundings: Surroundings) -> None:
        service, before = self._service, self.pace
        service.surroundings = surroundings
        if self._sync is not None:
            self._sync.resting = self.pace == "pause"
        if self.pace != before:
            how = {"normal": "in their usual time", "slow": "less often", "pause": "only when a client or you ask"}
            log.info("syncs come %s%s", how[self.pace], f": {surroundings}" if self.pace != "normal" else "")

    async def _run(self) -> None:
        sync = self._sync
        assert sync is not None
        try:
            if not sync.plan.hub.closed:
                summary = await sync.run_pass()
                if self._service.overrides is not None:
                    await self._service.overrides.refresh()
                _tell(summary)
        except Exception:
            log.exception("a pass failed")
        finally:
            self._task = None
            again = self._afresh or (self._again and sync.state.ledger.failures > 0)
            self._again = self._afresh = False
            self._count_anew()
        if again:
            self.soon()


def _tell(summary: Summary) -> None:
    for problem in summary.problems:
        log.warning("%s", problem)
    for line in summary.endpoints:
        log.warning("an assistant runs or sends elsewhere: %s", line)
    log.info(
        "pass: %d of %d answered, %d added, %d changed, %d withdrawn, %.1f s",
        summary.answered, summary.asked, summary.added, summary.changed, summary.withdrawn, summary.took,
    )  # fmt: skip
