"""What is counted and remembered beside the cache while a process runs: for status, metrics and nothing else."""

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
"""So many passes are remembered: a day and a half, if all come in their usual time."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A pass that has ended: `at` is when, of the wall clock, `took` seconds, the rest as in a Summary. Names nothing
    of the Hub's."""

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
    """`answers` are requests by what was asked and its grade (or `miss`), `outcomes` the Hub's answers by the
    endpoint's own name and what came back, `passes` those that brought something of the account and
    those that did not; `recent` are the last of them, the oldest first. `state` is the state as it was last seen and
    since when, `last_error` the newest trouble with the Hub, over or not.
    """

    answers: Counter[AnswerKey] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    passes: Counter[str] = field(default_factory=Counter)
    recent: deque[Passed] = field(default_factory=lambda: deque(maxlen=MOST_PASSES))
    state: tuple[str, float] | None = None
    last_error: tuple[Question, Trouble] | None = None

    def see(self, state: str, ledger: Ledger | None, now: float) -> None:
        """Remember how things are: since when, where that can't be told by itself, and the newest trouble."""
        if self.state is None or self.state[0] != state:
            lock = ledger.lock if ledger is not None else None
            self.state = (state, lock.since if state == "locked" and lock is not None else now)
        newest = max(ledger.troubles.items(), key=lambda item: item[1].at, default=None) if ledger is not None else None
        if newest is not None and (self.last_error is None or newest[1].at >= self.last_error[1].at):
            self.last_error = newest

    def graded(self, grade: str) -> int:
        return sum(count for (_, of), count in self.answers.items() if of == grade)

    def to_plain(self) -> dict[str, object]:
        """`passes` one by one, and `outcomes`: how often the Hub answered what, by the endpoint's own name."""
        asked = [{"asked": name, "outcome": what, "count": count} for (name, what), count in self.outcomes.items()]
        return {"passes": [asdict(each) for each in self.recent], "outcomes": asked}
