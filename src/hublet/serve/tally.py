"""What a process counts and remembers beside the cache while it runs, for the status and the metrics only."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, field
from typing import TYPE_CHECKING, TypeAlias

from hublet.core.values import dataclass

if TYPE_CHECKING:
    from hublet.core import operations as ops
    from hublet.core.ledger import Ledger, Trouble
    from hublet.core.questions import Question

AnswerKey: TypeAlias = "tuple[type[ops.Operation], str]"

MOST_PASSES = 128
"""How many passes are remembered: those of 32 hours, at one pass every 15 minutes."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A pass that has ended, without any name from the Hub. `at` is when it ended on the wall clock, `took` how many
    seconds it took, the rest as in summary.Summary."""

    at: float
    took: float
    asked: int
    answered: int
    of_account: int
    added: int
    changed: int
    withdrawn: int
    held: int


@dataclass(slots=True)
class Tally:
    """`answers` counts requests by Operation and grade of the answer (`miss` when the Hub was asked).

    `outcomes` counts what the Hub answered, by endpoint and kind of Outcome; `passes` counts passes by whether they
    brought something of the account (`answered`) or not (`failed`); `recent` are the last passes, the oldest first.
    `state` is the state that was last seen and since when; `last_error` the newest trouble with the Hub, over or not.
    """

    answers: Counter[AnswerKey] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    passes: Counter[str] = field(default_factory=Counter)
    recent: deque[Passed] = field(default_factory=lambda: deque(maxlen=MOST_PASSES))
    state: tuple[str, float] | None = None
    last_error: tuple[Question, Trouble] | None = None

    def see(self, state: str, ledger: Ledger | None, now: float) -> None:
        """Note the state, and since when it is so: a lock has its own time, any other state begins when it is first
        seen. Note the newest trouble as well."""
        if self.state is None or self.state[0] != state:
            lock = ledger.lock if ledger is not None else None
            self.state = (state, lock.since if state == "locked" and lock is not None else now)
        newest = max(ledger.troubles.items(), key=lambda item: item[1].at, default=None) if ledger is not None else None
        if newest is not None and (self.last_error is None or newest[1].at >= self.last_error[1].at):
            self.last_error = newest

    def graded(self, grade: str) -> int:
        """How many requests were answered with this grade."""
        return sum(count for (_, of), count in self.answers.items() if of == grade)

    def to_plain(self) -> dict[str, object]:
        """As JSON: `passes` one by one, and `outcomes`, how often which endpoint of the Hub answered with what."""
        asked = [{"asked": name, "outcome": what, "count": count} for (name, what), count in self.outcomes.items()]
        return {"passes": [asdict(each) for each in self.recent], "outcomes": asked}
