"""Running a pass and publishing what follows from it. This is the only writer of records.

    work order ── worker ── PassReport ── judge ── archive.save ── Snapshot, published by swapping a reference

Every change of what is known goes through `_settle`, one after the other, in a thread (settling.py). A disk that can't
be written doesn't stop the serving: what could not be saved is kept in memory, and saved as soon as that works
(saving.py).
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
from hublet.passes.plan import Plan
from hublet.passes.refreshing import Refreshing
from hublet.passes.saving import Archive, Saving
from hublet.passes.settling import Before, Decide, Understand, let_go, settle
from hublet.upstream.order import Ordered, Word, WorkOrder, conditionally

if TYPE_CHECKING:
    from hublet.passes.summary import Summary

log = logging.getLogger("hublet.sync")

Say = Callable[[Word], None]
Run = Callable[[Ordered, Say], Awaitable[PassReport]]
"""Carries out a work order: `upstream.child.run_in_child`, or in tests the same in this process."""

_OFFLINE_MEMORY = 10.0
"""Seconds for which a Hub that could not be reached is not tried again for a waiting client."""

_OF_BEFORE = "the account or the Hub is another one now: nothing of this pass was kept"


class Sync:
    """The state and its Snapshot, and the ways to change them. Belongs to one event loop."""

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
        """Whether no pass begins by itself now; then no pass finds out that the Hub is back."""
        self.on_judged: list[Callable[[PassReport, Summary], None]] = []
        self._settling = asyncio.Lock()
        self._settles: set[asyncio.Task[Verdict]] = set()
        self._pass: asyncio.Task[Summary] | None = None
        self._asking: dict[tuple[int, ops.Operation], asyncio.Task[Outcome]] = {}
        self._listeners: set[Say] = set()
        self._all_due = True
        """Whether the next pass asks for everything: no pass of this process has got an answer of this Hub for this
        key."""
        self._thorough = False
        """Whether the running pass asks for everything."""
        self._doubting = False
        """Whether the running pass sends no validators, so that every answer comes as a whole."""
        self._epoch = self._pass_epoch = 0
        """A number for the account and the Hub that are asked now, and the number with which the running pass began.
        What was asked for in an earlier epoch is dropped: it is about another account, or from another Hub."""
        self._unreachable_at = float("-inf")
        self.snapshot = Snapshot(state, terms, clock())
        self.refreshing = Refreshing(self, clock)

    @property
    def state(self) -> State:
        return self._state

    async def run_pass(self, say: Say | None = None, *, force: bool = False, full: bool = False) -> Summary:
        """Run a whole pass; a call while one runs joins it. `say` is called with every word as it comes.

        With `force` (a sync that the user wants) the pass asks although the Hub has asked to wait, and asks also for
        what is still fresh. With `full` it does the same, and sends no validators. A pass that asks for less is not
        joined but waited for, and so is a pass of an earlier epoch.
        """
        from hublet.passes.joining import joined  # only loaded after the first answers

        while self._pass is not None and not self._pass.done():
            enough = self._doubting if full else self._thorough or not force
            if self._pass_epoch == self._epoch and enough:
                break
            await asyncio.wait({self._pass})
        if self._pass is None or self._pass.done():
            wait = asked_to_wait(self._state.ledger, self._clock())
            if wait > 0 and not (force or full):
                return _in_vain(f"the Hub asked to wait {wait:.0f} s more")
            self._thorough, self._doubting = force or full or self._all_due, full
            self._pass_epoch = self._epoch
            self._pass = asyncio.create_task(self._whole(self._epoch), name="pass")
        if say is not None:
            self._listeners.add(say)
        try:
            return await joined(self._pass, lambda: _in_vain("the pass was ended"))
        finally:
            if say is not None:
                self._listeners.discard(say)

    async def ask(self, operation: ops.Operation, *, wait: float) -> Outcome:
        """Ask the Hub one Operation for a client that waits at most `wait` seconds. Clients that ask the same share it.

        The asking goes on when the client no longer waits: its answer is kept for the next client.
        """
        from hublet.passes.joining import joined  # only loaded after the first answers

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
        """Ask the Hub for these, if it can be asked now. What it says is kept; no client waits for it."""
        if self._why_not() is None:
            await self._some(operations)

    @property
    def may_ask(self) -> bool:
        """Whether the Hub can be asked now: there is a key, the Hub has not asked to wait, and it was not unreachable
        just now."""
        return self._why_not() is None

    def is_idle(self, operation: ops.Operation) -> bool:
        """Whether no pass runs, and nothing else that asks for this Operation."""
        return (self._epoch, operation) not in self._asking and (self._pass is None or self._pass.done())

    async def lock(self) -> None:
        """Stop serving secret values now."""
        at = self._clock()
        await self._settle(lambda state: Verdict((), locked(state.ledger, at)))

    async def unlock(self, *, hub_must_agree: bool = False) -> None:
        """Serve secret values again. If the Hub must agree, they are served as soon as it takes the key. An older store
        that was put back stays locked (`accept_older`)."""
        at = self._clock()
        await self._settle(lambda state: Verdict((), unlocked(state.ledger, at, hub_must_agree=hub_must_agree)))

    async def accept_older(self, *, hub_must_agree: bool) -> None:
        """Unlock an older store that was put back: it is served from as from any other."""
        at = self._clock()
        await self._settle(lambda state: Verdict((), accepted(state.ledger, at, hub_must_agree=hub_must_agree)))

    async def accept(self, question: Question) -> None:
        """The user accepts what is held at a Question. Raises KeyError when nothing is held there."""
        from hublet.core.quarantine import accept

        await self._settle(lambda state: accept(state, question, self._clock()))

    async def reject(self, question: Question) -> None:
        """The user rejects what is held at a Question. Raises KeyError when nothing is held there."""
        from hublet.core.quarantine import reject

        await self._settle(lambda state: reject(state, question))

    async def start_over(self) -> None:
        """Drop everything that is known, history too, and what is being asked: another account is to take its place."""
        self._turn()
        self.saving.anew = True
        await self._settle(
            lambda state: Verdict(tuple(Drop(question) for question in state.records), anew(state.ledger))
        )

    async def pin(self, pins: Mapping[Assistant, Record | None]) -> None:
        """Pin assistants to revisions: records made by `core.pins.pinned`. None ends a pin."""
        changes: tuple[Change, ...] = tuple(
            Put(Pinned.of(assistant), record, "added") if record is not None else Drop(Pinned.of(assistant))
            for assistant, record in pins.items()
        )
        await self._settle(lambda state: Verdict(changes, state.ledger))

    async def read(self, order: WorkOrder) -> PassReport:
        """Carry out an order, and keep nothing of what the Hub says."""
        return await self._run(order, lambda _: None)

    async def take_over(self, decide: Decide) -> int:
        """Take over what another cache knows. Returns how many records that has changed."""
        return len((await self._settle(decide)).changes)

    async def tidy(self) -> None:
        """Overwrite replaced pages of the store that a reader had kept from being overwritten."""
        async with self._settling:
            await asyncio.to_thread(self._archive.tidy)

    async def save_again(self) -> None:
        """Save what could not be saved, or make a store anew that was deleted or replaced."""
        if self._settling.locked():
            return  # what is being settled saves it as well
        await self._settle(lambda state: Verdict((), state.ledger))

    def republish_if_due(self) -> None:
        """Make a new Snapshot if a record has expired since the last one."""
        if self._clock() >= self.snapshot.next_expiry:
            self._publish()

    def override(self, values: Mapping[str, SecretStr]) -> None:
        """Serve these values of the user's own, by name, in place of the Hub's."""
        if values != self.overrides:
            self.overrides = values
            self._publish()

    def configure(self, plan: Plan, terms: Terms) -> None:
        """Take over a new config, from the next pass and the next answer on. What is being asked with another key, or
        of another Hub, is dropped."""
        if plan.hub.asker != self.plan.hub.asker:
            self._turn()
        self.plan, self.terms = plan, terms
        self._unreachable_at = float("-inf")
        self._publish()

    async def close(self) -> None:
        """End the pass and all asking, and let what is being settled come to its end: nothing is half kept."""
        running = (self.refreshing.task, self._pass, *self._asking.values())
        tasks = [task for task in running if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*self._settles, return_exceptions=True)

    async def end(self) -> None:
        """Close, and forget everything that is known: nothing of it is served or saved any more. A client that waits
        for the Hub is told that the asking was ended."""
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
        """Why the Hub is not asked for a client now; None when it can be asked."""
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
        from hublet.passes.ordering import (  # only passes need it: it is loaded after the first answers
            order_of,
            rests_for,
        )

        seldom = 0.0 if self._thorough else rests_for(self.plan, self.terms)
        order = order_of(self._state, self.plan, self._clock(), seldom=seldom)
        return order if self._doubting else conditionally(order, self._state, self._clock())

    async def _judged(self, report: PassReport, started: float, epoch: int) -> Summary:
        """Judge a report and keep what follows. One of an earlier epoch is dropped, also if the epoch has ended while
        the report waited to be judged."""
        # Only what the Hub has said needs these: they are loaded after the first answers.
        from hublet.core.judgement import judge
        from hublet.passes.summary import summarise

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
        """Decide on the state as it is, save and publish, one decision after the other.

        Once begun it comes to its end, even if the caller is cancelled: memory and disk must not differ.
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
                self._publish()  # a new config, or new values of the user's own, came meanwhile
            for tell in tells:
                tell()
        for listener in self.on_change:
            listener(verdict.changes)
        return verdict

    def _publish(self) -> None:
        self.snapshot = Snapshot(self._state, self.terms, self._clock(), self.snapshot, self.overrides)


def _in_vain(problem: str) -> Summary:
    """The summary of a pass that has asked nothing, or was ended."""
    from hublet.passes.summary import Summary

    return Summary(problems=(problem,))
