"""Running a pass and publishing what follows: the only writer of records.

    work order ── worker ── PassReport ── judge ── archive.save ── Snapshot, published by swapping a reference

Everything that changes what is known goes through `_settle`, one at a time, in that order, in a thread (settling.py). A
disk that can't be written doesn't stop the serving: what could not be saved is kept in memory and saved as soon as that
works (saving.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from hublet.core import operations as ops
from hublet.core.ledger import Ledger
from hublet.core.locking import accepted, anew, locked, unlocked
from hublet.core.outcomes import Outcome, PassReport, Throttled, Unreachable
from hublet.core.pace import asked_to_wait
from hublet.core.questions import Assistant, Pinned, Question
from hublet.core.records import Record
from hublet.core.secretstr import SecretStr
from hublet.core.snapshot import Snapshot, Terms
from hublet.core.standing import is_taken
from hublet.core.state import Change, Drop, Put, State, Verdict
from hublet.host.lean import collector_resting
from hublet.plan import Plan
from hublet.refreshing import Refreshing
from hublet.saving import Archive, Saving
from hublet.settling import Before, Decide, Understand, let_go, settle
from hublet.upstream.order import Ordered, Word, WorkOrder, conditionally

if TYPE_CHECKING:
    from hublet.summary import Summary

log = logging.getLogger("hublet.sync")

Say = Callable[[Word], None]
Run = Callable[[Ordered, Say], Awaitable[PassReport]]
"""Carries out a work order; `upstream.child.run_in_child`, or the same in process in tests."""

_OFFLINE_MEMORY = 10.0
"""Seconds for which a Hub that could not be reached is not tried again for a waiting client."""

_OF_BEFORE = "the account or the Hub is another one now: nothing of this pass was kept"


class Sync:
    """The state, its Snapshot, and the ways to change them. Belongs to one event loop."""

    def __init__(
        self,
        archive: Archive,
        state: State,
        plan: Plan,
        terms: Terms,
        run: Run,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._archive, self._state, self._run, self._clock = archive, state, run, clock
        self.plan, self.terms = plan, terms
        self.overrides: Mapping[str, SecretStr] = {}
        self.saving = Saving(archive)
        self.running_since: float | None = None
        self.asked_of_hub = 0
        self.on_settled: list[Understand] = []
        self.on_change: list[Callable[[tuple[Change, ...]], None]] = []
        self.resting = False
        """No pass begins by itself, so that none finds out whether the Hub is back."""
        self.on_judged: list[Callable[[PassReport, Summary], None]] = []
        self._settling = asyncio.Lock()
        self._settles: set[asyncio.Task[Verdict]] = set()
        self._pass: asyncio.Task[Summary] | None = None
        self._asking: dict[tuple[int, ops.Operation], asyncio.Task[Outcome]] = {}
        self._listeners: set[Say] = set()
        self._all_due = True
        """Whether the next pass asks for everything: this Hub has told this process nothing with this key."""
        self._thorough = False
        """Whether the running pass does."""
        self._doubting = False
        """Whether the running pass has every answer sent as a whole: a person wants to be sure."""
        self._epoch = self._pass_epoch = 0
        """A number for the account and the Hub that are asked now, and the one that the running pass began with. What
        was asked for in an earlier epoch is dropped: it is about another account, or of another Hub."""
        self._unreachable_at = float("-inf")
        self.snapshot = Snapshot(state, terms, clock())
        self.refreshing = Refreshing(self, clock)

    @property
    def state(self) -> State:
        return self._state

    async def run_pass(self, say: Say | None = None, *, force: bool = False) -> Summary:
        """Go over the whole Hub; a second call while one runs joins it. `say` hears every word as it comes.

        Before a Retry-After only `force` (a person's own sync) asks, and it alone asks for what can rest, too, and for
        everything as a whole: it joins only a pass that lets nothing rest, and waits for another. A pass of an earlier
        epoch is waited for and never joined.
        """
        from hublet.joining import joined  # behind the first answers

        while self._pass is not None and not self._pass.done():
            if self._pass_epoch == self._epoch and (self._thorough or not force):
                break
            await asyncio.wait({self._pass})
        if self._pass is None or self._pass.done():
            wait = asked_to_wait(self._state.ledger, self._clock())
            if wait > 0 and not force:
                return _in_vain(f"the Hub asked to wait {wait:.0f} s more")
            self._thorough, self._doubting, self._pass_epoch = force or self._all_due, force, self._epoch
            self._pass = asyncio.create_task(self._whole(self._epoch), name="pass")
        if say is not None:
            self._listeners.add(say)
        try:
            return await joined(self._pass, lambda: _in_vain("the pass was ended"))
        finally:
            if say is not None:
                self._listeners.discard(say)

    async def ask(self, operation: ops.Operation, *, wait: float) -> Outcome:
        """Ask the Hub one Operation for a waiting client, at most `wait` seconds; the same one in flight is shared.

        The asking goes on when the client's patience has ended: its answer is kept for the next one.
        """
        from hublet.joining import joined  # behind the first answers

        key = (self._epoch, operation)
        task = self._asking.get(key)
        if task is None:
            if (why_not := self._why_not()) is not None:
                return why_not
            task = asyncio.create_task(self._one(operation), name="ask")
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        try:
            return await asyncio.wait_for(joined(task, lambda: Unreachable("the asking was ended")), wait)
        except TimeoutError:
            return Unreachable("the Hub takes too long")

    async def ask_together(self, operations: tuple[ops.Operation, ...]) -> None:
        """Ask the Hub for these, if it may be asked now; nobody waits for what it says."""
        if self._why_not() is None:
            await self._some(operations)

    @property
    def may_ask(self) -> bool:
        """Whether the Hub can be asked now: there is a key, it has not asked to wait, and was not away just now."""
        return self._why_not() is None

    def is_idle(self, operation: ops.Operation) -> bool:
        """Whether nothing runs that asks for it."""
        return (self._epoch, operation) not in self._asking and (self._pass is None or self._pass.done())

    async def lock(self) -> None:
        """Stop serving secret values now."""
        at = self._clock()
        await self._settle(lambda state: Verdict((), locked(state.ledger, at)))

    async def unlock(self, *, hub_must_agree: bool = False) -> None:
        """Serve them again on the user's word, or as soon as the Hub takes the key after it. An older store that was
        put back stays locked (`accept_older`)."""
        at = self._clock()
        await self._settle(lambda state: Verdict((), unlocked(state.ledger, at, hub_must_agree=hub_must_agree)))

    async def accept_older(self, *, hub_must_agree: bool) -> None:
        """Serve from an older store that was put back as from any other."""
        at = self._clock()
        await self._settle(lambda state: Verdict((), accepted(state.ledger, at, hub_must_agree=hub_must_agree)))

    async def accept(self, question: Question) -> None:
        """Agree with what is held at a Question. Raises KeyError when nothing is."""
        from hublet.core.quarantine import accept

        await self._settle(lambda state: accept(state, question, self._clock()))

    async def reject(self, question: Question) -> None:
        """Keep what there is. Raises KeyError when nothing is held at the Question."""
        from hublet.core.quarantine import reject

        await self._settle(lambda state: reject(state, question))

    async def start_over(self) -> None:
        """Drop everything known of the account, and what is being asked for it: another is to take its place."""
        self._turn()
        self.saving.anew = True
        await self._settle(
            lambda state: Verdict(tuple(Drop(question) for question in state.records), anew(state.ledger))
        )

    async def pin(self, pins: Mapping[Assistant, Record | None]) -> None:
        """Serve these revisions (`core.pins.pinned`) in place of what the Hub says; None ends a pin."""
        changes: tuple[Change, ...] = tuple(
            Put(Pinned.of(assistant), record, "added") if record is not None else Drop(Pinned.of(assistant))
            for assistant, record in pins.items()
        )
        await self._settle(lambda state: Verdict(changes, state.ledger))

    async def read(self, order: WorkOrder) -> PassReport:
        """Carry out an order, and keep nothing of what the Hub says."""
        return await self._run(order, lambda _: None)

    async def take_over(self, decide: Decide) -> int:
        """Take over what another cache knows; how many records that changed."""
        return len((await self._settle(decide)).changes)

    async def tidy(self) -> None:
        """Overwrite what a reader kept from being overwritten when it was replaced."""
        async with self._settling:
            await asyncio.to_thread(self._archive.tidy)

    async def save_again(self) -> None:
        """Save what could not be saved; or put back a store that was deleted or replaced."""
        if self._settling.locked():
            return  # that saves as well
        await self._settle(lambda state: Verdict((), state.ledger))

    def republish_if_due(self) -> None:
        """Make a new Snapshot when a record has expired since the last."""
        if self._clock() >= self.snapshot.next_expiry:
            self._publish()

    def override(self, values: Mapping[str, SecretStr]) -> None:
        """Answer with these values of the user's own, by name, before the Hub's."""
        if values != self.overrides:
            self.overrides = values
            self._publish()

    def configure(self, plan: Plan, terms: Terms) -> None:
        """Take over a new config: from the next pass and the next answer on. What is being asked with another key, or
        of another Hub, is dropped."""
        if plan.hub.asker != self.plan.hub.asker:
            self._turn()
        self.plan, self.terms = plan, terms
        self._unreachable_at = float("-inf")
        self._publish()

    async def close(self) -> None:
        """End what runs; nothing half-judged is kept."""
        running = (self.refreshing.task, self._pass, *self._asking.values())
        tasks = [task for task in running if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*self._settles, return_exceptions=True)

    async def end(self) -> None:
        """The same, and let go of everything that is known: nothing of it is served or saved any more. Who waits for
        an answer of the Hub gets none, and hears why."""
        await self.close()
        async with self._settling:
            self._state, self.saving, self.overrides = State({}, Ledger()), Saving(self._archive), {}
            self.plan = replace(self.plan, hub=replace(self.plan.hub, key=None))
            self.snapshot = Snapshot(self._state, self.terms, self._clock())
            self.on_settled.clear()
            self.on_change.clear()
            self.on_judged.clear()

    # Within

    def _why_not(self) -> Outcome | None:
        """Why a client's question is not asked of the Hub now."""
        if self.plan.hub.closed:
            return Unreachable("no key is stored")
        if (pause := asked_to_wait(self._state.ledger, self._clock())) > 0:
            return Throttled(pause)
        if 0 <= self._clock() - self._unreachable_at < _OFFLINE_MEMORY:
            return Unreachable("the Hub could not be reached just now")
        return None

    def _turn(self) -> None:
        """Begin another epoch, and end the pass of the one before: nothing that it brings is kept."""
        self._epoch += 1
        self._all_due = True
        if self._pass is not None:
            self._pass.cancel()

    async def _whole(self, epoch: int) -> Summary:
        started = self._clock()
        self.running_since = started
        try:
            if self.plan.hub.closed:
                return _in_vain("no key is stored: run `hublet login`")
            with collector_resting():
                ordering = asyncio.create_task(asyncio.to_thread(self._order), name="order")
                try:
                    reports = [await self._run(ordering, self._tell)]
                finally:
                    ordering.cancel()
                self._all_due &= not (reports[0].whole and is_taken(reports[0]) and epoch == self._epoch)
                summary = await self._judged(reports[0], started, epoch)
                await asyncio.to_thread(let_go, reports)
            return summary
        finally:
            self.running_since = None

    async def _one(self, operation: ops.Operation) -> Outcome:
        outcome = (await self._some((operation,))).get(operation)
        return outcome if outcome is not None else Unreachable("the asking broke off")

    async def _some(self, operations: tuple[ops.Operation, ...]) -> Mapping[ops.Operation, Outcome]:
        epoch = self._epoch
        order = conditionally(WorkOrder(self.plan.hub, whole=False, ask=operations), self._state, self._clock())
        report = await self._run(order, self._tell)
        await self._judged(report, self._clock(), epoch)
        return dict(report.outcomes) if epoch == self._epoch else {}

    def _tell(self, word: Word) -> None:
        for say in tuple(self._listeners):
            say(word)

    def _order(self) -> WorkOrder:
        from hublet.ordering import order_of, rests_for  # for passes alone, and so behind the first answers

        seldom = 0.0 if self._thorough else rests_for(self.plan, self.terms)
        order = order_of(self._state, self.plan, self._clock(), seldom=seldom)
        return order if self._doubting else conditionally(order, self._state, self._clock())

    async def _judged(self, report: PassReport, started: float, epoch: int) -> Summary:
        """Judge a report and keep what follows. One of an earlier epoch is dropped, also if the epoch has ended while
        the report waited to be judged."""
        # For what the Hub has said alone, and so behind the first answers.
        from hublet.core.judgement import judge
        from hublet.summary import summarise

        self.asked_of_hub += len(report.outcomes)
        now, before, plan = self._clock(), self._state, self.plan

        def decide(state: State) -> Verdict:
            if epoch != self._epoch:
                return Verdict((), state.ledger)
            return judge(state, report, now, interval=plan.interval, hold_commands=plan.hold_commands)

        verdict = await self._settle(decide)
        if epoch != self._epoch:
            return _in_vain(_OF_BEFORE)
        outcomes = [outcome for _, outcome in report.outcomes]
        if outcomes:
            away = all(isinstance(outcome, Unreachable) for outcome in outcomes)
            self._unreachable_at = now if away else float("-inf")
        summary = summarise(report, verdict, before, took=now - started)
        if self.saving.failed_since is not None:
            summary = replace(summary, problems=(*summary.problems, f"not saved to disk: {self.saving.reason}"))
        for listener in self.on_judged:
            listener(report, summary)
        return summary

    async def _settle(self, decide: Decide) -> Verdict:
        """Decide on the state as it is, save, publish: one at a time, each upon what the one before has kept.

        Once begun it goes to its end, whoever stops waiting for it: memory and disk must not come apart.
        """
        task = asyncio.create_task(self._settle_one(decide), name="settle")
        self._settles.add(task)
        task.add_done_callback(self._settles.discard)
        return await asyncio.shield(task)

    async def _settle_one(self, decide: Decide) -> Verdict:
        async with self._settling:
            before = Before(self._state, self.snapshot, self.terms, self.overrides)
            verdict, self._state, self.snapshot, tells = await asyncio.to_thread(
                settle, before, decide, self.saving, tuple(self.on_settled), self._clock
            )
            if self.terms is not before.terms or self.overrides is not before.overrides:
                self._publish()  # a new config, or new values of the user's own, have come meanwhile
            for tell in tells:
                tell()
        for listener in self.on_change:
            listener(verdict.changes)
        return verdict

    def _publish(self) -> None:
        self.snapshot = Snapshot(self._state, self.terms, self._clock(), self.snapshot, self.overrides)


def _in_vain(problem: str) -> Summary:
    """The summary of a pass that asked nothing, or was ended."""
    from hublet.summary import Summary

    return Summary(problems=(problem,))
