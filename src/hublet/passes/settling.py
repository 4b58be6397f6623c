"""Settling: deciding on a change, saving it and making the next Snapshot, as one step in a thread.

All of it is computing with values, and takes longer the more records there are. With ten thousand of them, the event
loop goes on answering from the Snapshot before while they are judged and saved.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from hublet.core.history import replaced
from hublet.core.outcomes import Answered, PassReport
from hublet.core.secretstr import SecretStr
from hublet.core.snapshot import Snapshot, Terms
from hublet.core.state import Change, State, Verdict, apply
from hublet.host.lean import give_back
from hublet.passes.saving import Saving

_MANY = 1000
Decide = Callable[[State], Verdict]
"""Gives the verdict on a state. It may raise KeyError when there is nothing to decide; then nothing changes."""

Tell = Callable[[], None]
Understand = Callable[[State, Snapshot, tuple[Change, ...]], Tell]
"""Works out what a change means to a listener, from the state before, the Snapshot after and the changes. It is called
in the thread; what it returns is called on the event loop when that Snapshot is published."""


class Before(NamedTuple):
    """What there is before a settling."""

    state: State
    snapshot: Snapshot
    terms: Terms
    overrides: Mapping[str, SecretStr]


class Settled(NamedTuple):
    """What there is after a settling."""

    verdict: Verdict
    state: State
    snapshot: Snapshot
    tells: tuple[Tell, ...]


def settle(
    before: Before, decide: Decide, saving: Saving, understand: Iterable[Understand], clock: Callable[[], float]
) -> Settled:
    """Decide, save, and make the next Snapshot. Called in a thread, never twice at once. What can't be written to disk
    is kept by `saving`, and the rest is done all the same."""
    verdict = decide(before.state)
    state = apply(before.state, verdict)
    saving.save(verdict.changes, list(replaced(verdict.changes, before.state, clock())), state, clock())
    snapshot = Snapshot(state, before.terms, clock(), before.snapshot, before.overrides)
    tells = tuple(one(before.state, snapshot, verdict.changes) for one in understand)
    if len(verdict.changes) > _MANY:
        gc.freeze()  # these stay: the garbage collector need not look through them each time
    return Settled(verdict, state, snapshot, tells)


def let_go(reports: list[PassReport]) -> None:
    """Free the facts of reports, one at a time, and give the memory back to the system. Called in a thread: freeing ten
    thousand at once would be one step that holds the interpreter, and so the event loop."""
    outcomes = [outcome for report in reports for _, outcome in report.outcomes]
    facts = [fact for outcome in outcomes if isinstance(outcome, Answered) for fact in outcome.facts]
    outcomes.clear()
    reports.clear()
    while facts:
        facts.pop()
    give_back()
