"""Asking for what a client has found stale. The client gets the stale answer at once (stale-while-revalidate, RFC 5861
section 3), and nobody waits for the new one.

what each pass asks for    if the last pass is an interval ago, a pass begins, since a client asks for more of it next
anything else              it is asked for at once; what is found stale meanwhile is asked for next, all together
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from hublet.core import operations as ops
from hublet.core.lifetimes import AHEAD, SPENDING, is_of_each_pass
from hublet.core.outcomes import root, roots
from hublet.core.passthrough import Spending
from hublet.core.records import Record
from hublet.core.snapshot import Answer, Snapshot
from hublet.core.state import State
from hublet.passes.plan import Plan

_PAUSE = 60.0
"""The least seconds between two askings because clients find the same answer stale."""

_COUNTED: dict[Spending, dict[type[ops.Operation], float]] = {
    "nothing": {},
    "requests": {ops.GetFreeTrialStatus: 300.0, ops.GetCredits: 300.0},
    "credits": {ops.GetCredits: 3600.0},
}
"""What a request that is passed through may change, and for how many seconds after it began: the longest that the
answer of a model, a payment or the work of an agent takes."""


class Asker(Protocol):
    """Asks the Hub and keeps what it says: a Sync."""

    resting: bool
    plan: Plan
    snapshot: Snapshot

    @property
    def state(self) -> State: ...

    def is_idle(self, operation: ops.Operation) -> bool: ...

    async def ask_together(self, operations: tuple[ops.Operation, ...]) -> None: ...


class Refreshing:
    """Belongs to an Asker. `begin_pass` begins a pass, unless none may begin by itself now, and returns whether it
    did."""

    def __init__(self, asker: Asker, clock: Callable[[], float]) -> None:
        self.begin_pass: Callable[[], bool] = lambda: False
        self._asker, self._clock = asker, clock
        self._wanted: dict[ops.Operation, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._spent: dict[type[ops.Operation], float] = {}

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that asks; None while nothing is asked."""
        return self._task

    def spend(self, what: Spending) -> None:
        """A request is passed through that uses up what the account has left. For a while these counts change: what the
        Hub says of them before the end of that time is fresh for a short time only."""
        for kind, seconds in _COUNTED[what].items():
            self._spent[kind] = max(self._spent.get(kind, 0.0), self._clock() + seconds)

    def as_spent(self, operation: ops.Operation, answer: Answer) -> Answer:
        """The answer; if it counts what was being spent when the Hub gave it, it is fresh for a short time only."""
        if answer.confirmed_at >= self._spent.get(type(operation), 0.0):
            return answer
        return replace(answer, fresh_for=min(answer.fresh_for, SPENDING))

    def want(self, operation: ops.Operation) -> None:
        """Have the Hub asked for what a client has found stale.

        What was asked for just now is not asked for again: an answer can stay stale however often it is asked for, such
        as a list with an assistant that the Hub can't load. While the Hub is away nothing is asked for, since passes
        find out when it is back, by their backoff. If no passes come (`resting`), it is asked all the same.
        """
        asker = self._asker
        if asker.state.ledger.failures and not asker.resting:
            return
        if isinstance(operation, ops.ListFullSlugs):
            operation = ops.ListAssistants(operation.scope, False)  # it is made of this list; the Hub always refuses it
        elif isinstance(operation, ops.SyncSecrets):
            operation = asker.snapshot.to_ask(operation)
            if not operation.asked:
                return
        if operation in self._wanted or not asker.is_idle(operation) or self._asked_lately(operation):
            return
        if self._comes_with_a_pass(operation) and self._pass_is_old() and self.begin_pass():
            return
        self._wanted[operation] = None
        if self._task is None:
            self._task = asyncio.create_task(self._ask(), name="refresh")

    # Within

    async def _ask(self) -> None:
        try:
            while self._wanted:
                operations = tuple(self._wanted)
                await self._asker.ask_together(operations)
                for operation in operations:
                    self._wanted.pop(operation, None)
        finally:
            self._wanted.clear()
            self._task = None

    def _comes_with_a_pass(self, operation: ops.Operation) -> bool:
        """Whether the next pass asks for it (`ordering.order_of`): not for what the Hub refused when a client asked,
        nor for what the config wants no pass to ask."""
        asker = self._asker
        if getattr(operation, "proxied", False) and asker.plan.proxied == "never":
            return False
        if isinstance(operation, ops.GetAssistant) and not isinstance(asker.state.records.get(root(operation)), Record):
            return False
        return is_of_each_pass(operation)

    def _pass_is_old(self) -> bool:
        last = self._asker.state.ledger.last_pass
        return last is None or not 0 <= self._clock() - last < self._asker.plan.interval

    def _asked_lately(self, operation: ops.Operation) -> bool:
        ledger, now = self._asker.state.ledger, self._clock()
        pause = min(_PAUSE, self._asker.plan.interval)
        return all(
            _is_recent(ledger.confirmed.get(question), now, pause)
            or (question in ledger.troubles and _is_recent(ledger.troubles[question].at, now, pause))
            for question in roots(operation)
        )


def _is_recent(at: float | None, now: float, pause: float) -> bool:
    return at is not None and -AHEAD < now - at < pause
