"""Deciding on a change, keeping it and making the next Snapshot, as one step beside the event loop.

All of it is plain computing over values, and grows with the number of records: ten thousand of them are judged, saved
and rendered in a thread while the loop goes on answering from the Snapshot before.
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
from hublet.saving import Saving

_MANY = 1000
Decide = Callable[[State], Verdict]
"""Raises KeyError when there is nothing to decide on; then nothing changes."""

Tell = Callable[[], None]
Understand = Callable[[State, Snapshot, tuple[Change, ...]], Tell]
"""What a change means to somebody: worked out in a thread from the state before and the Snapshot after; what comes back
is called on the event loop, when that Snapshot is published."""


class Before(NamedTuple):
    """What a settling starts from."""

    state: State
    snapshot: Snapshot
    terms: Terms
    overrides: Mapping[str, SecretStr]


class Settled(NamedTuple):
    verdict: Verdict
    state: State
    snapshot: Snapshot
    tells: tuple[Tell, ...]


def settle(
    before: Before, decide: Decide, saving: Saving, understand: Iterable[Understand], clock: Callable[[], float]
) -> Settled:
    """In a thread, one at a time. What can't be written is kept by `saving`, and the rest goes on."""
    verdict = decide(before.state)
    state = apply(before.state, verdict)
    saving.save(verdict.changes, list(replaced(verdict.changes, before.state, clock())), state, clock())
    snapshot = Snapshot(state, before.terms, clock(), before.snapshot, before.overrides)
    tells = tuple(one(before.state, snapshot, verdict.changes) for one in understand)
    if len(verdict.changes) > _MANY:
        gc.freeze()  # these stay: the collector need not look them through again and again
    return Settled(verdict, state, snapshot, tells)


def let_go(reports: list[PassReport]) -> None:
    """In a thread: drop what is no longer wanted, a fact at a time, since freeing ten thousand at once is one step that
    holds the interpreter, and so the loop, for as long as it takes. The system gets its memory back."""
    outcomes = [outcome for report in reports for _, outcome in report.outcomes]
    facts = [fact for outcome in outcomes if isinstance(outcome, Answered) for fact in outcome.facts]
    outcomes.clear()
    reports.clear()
    while facts:
        facts.pop()
    give_back()
