"""What is remembered beside the records: when the Hub last confirmed each Question, what went wrong since, and what
waits for the user.

The ledger is one small sealed row of the store, written once a pass. Since the times of confirmation are here, a pass
in which nothing changed writes no record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Literal

from hublet.core.errors import StoreCorrupt
from hublet.core.questions import Question, from_text, to_text
from hublet.core.validators import Validators, validators_from_plain, validators_to_plain
from hublet.core.values import dataclass

TroubleKind = Literal["unreachable", "refused", "throttled", "malformed", "unsound", "missing", "held", "looser"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the last asking did not replace what is kept. `since` is the time of the first such asking in a row, `at`
    that of the last one."""

    kind: TroubleKind
    detail: str
    since: float
    at: float


@dataclass(frozen=True, slots=True)
class Held:
    """A quarantine: an answer of the Hub that counts only when the user accepts it.

    `gone` is what the Hub no longer has: the slugs of assistants for a Roster, the ids of organizations for
    Organizations. For Everything it is what the Hub answered instead. `changes` is for an Assistant that changes which
    program it runs or where it sends data: a line for each of those endpoints. With `rejected` the user keeps what
    there is, and is asked again only when the Hub says something else.
    """

    gone: tuple[str, ...]
    since: float
    changes: tuple[str, ...] = ()
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """An assistant whose endpoints have changed, accepted at the time `at`; `changes` has a line for each endpoint."""

    changes: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class Lock:
    """While there is a lock, no secret value is served. Why: the Hub has `refused` the key, the user has `asked` for
    it, or the store is an older one that was put back (`restored`), which the user has not accepted yet."""

    why: Literal["refused", "asked", "restored"]
    since: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """All times are seconds of our own wall clock.

    - `confirmed`: when the Hub last said what is kept.
    - `troubles`: why the last asking did not replace what is kept.
    - `absent`: what one pass did not name, refused, or gave without its value, and since when; a second pass that says
      the same takes it away.
    - `held`: the quarantines.
    - `looser`: the text of a policy that is weaker than the kept one, and when it was first said.
    - `refused_at`: the first of the passes in a row that were answered 401.
    - `lock`: why secret values are not served, if they are not.
    - `not_before`: the Hub has asked to be left alone until then.
    - `failures`: the number of passes in a row that did not reach the Hub.
    - `last_pass`, `last_success`: when a pass last ended, and when one last got an answer for this account.
    - `moved`: the assistants whose endpoints have changed in the last days.
    - `validators`: with these the Hub can say that its answer is still the one that is kept (core/confirming.py).
    """

    confirmed: Mapping[Question, float] = field(default_factory=dict)
    troubles: Mapping[Question, Trouble] = field(default_factory=dict)
    absent: Mapping[Question, float] = field(default_factory=dict)
    held: Mapping[Question, Held] = field(default_factory=dict)
    looser: tuple[str, float] | None = None
    refused_at: float | None = None
    lock: Lock | None = None
    not_before: float = 0.0
    failures: int = 0
    last_pass: float | None = None
    last_success: float | None = None
    moved: Mapping[Question, Moved] = field(default_factory=dict)
    validators: Validators = field(default_factory=dict)

    @property
    def waiting(self) -> Mapping[Question, Held]:
        """The quarantines that the user has neither accepted nor rejected."""
        return {question: held for question, held in self.held.items() if not held.rejected}


def ledger_to_plain(ledger: Ledger) -> dict[str, object]:
    """The ledger as a JSON value; `ledger_from_plain` is the inverse. It has names of assistants in it, so it is sealed
    like a record."""
    return {
        "confirmed": {to_text(question): at for question, at in ledger.confirmed.items()},
        "troubles": {to_text(question): [t.kind, t.detail, t.since, t.at] for question, t in ledger.troubles.items()},
        "absent": {to_text(question): since for question, since in ledger.absent.items()},
        "held": {
            to_text(question): [list(h.gone), h.since, list(h.changes), h.rejected]
            for question, h in ledger.held.items()
        },
        "looser": list(ledger.looser) if ledger.looser else None,
        "refused_at": ledger.refused_at,
        "lock": [ledger.lock.why, ledger.lock.since] if ledger.lock else None,
        "not_before": ledger.not_before,
        "failures": ledger.failures,
        "last_pass": ledger.last_pass,
        "last_success": ledger.last_success,
        "moved": {to_text(question): [list(moved.changes), moved.at] for question, moved in ledger.moved.items()},
        "validators": validators_to_plain(ledger.validators),
    }


def ledger_from_plain(plain: Mapping[str, object]) -> Ledger:
    """The inverse of `ledger_to_plain`. Raises StoreCorrupt for what that does not write."""
    match plain:
        case {
            "confirmed": dict(confirmed),
            "troubles": dict(troubles),
            "absent": dict(absent),
            "held": dict(held),
            "looser": looser,
            "refused_at": refused_at,
            "lock": lock,
            "not_before": not_before,
            "failures": failures,
            "last_pass": last_pass,
            "last_success": last_success,
        }:
            return Ledger(
                confirmed={from_text(text): at for text, at in confirmed.items()},
                troubles={from_text(text): Trouble(*fields) for text, fields in troubles.items()},
                absent={from_text(text): since for text, since in absent.items()},
                held={from_text(text): _held(*fields) for text, fields in held.items()},
                looser=(looser[0], looser[1]) if isinstance(looser, list) else None,
                refused_at=refused_at,  # type: ignore[arg-type]  # sealed: nobody but us wrote it
                lock=Lock(*lock) if isinstance(lock, list) else None,
                not_before=not_before,  # type: ignore[arg-type]
                failures=failures,  # type: ignore[arg-type]
                last_pass=last_pass,  # type: ignore[arg-type]
                last_success=last_success,  # type: ignore[arg-type]
                moved={from_text(text): Moved(tuple(changes), at) for text, (changes, at) in _moved(plain)},
                validators=validators_from_plain(plain.get("validators")),
            )
    raise StoreCorrupt("the ledger can't be read although its seal is intact")


def _held(gone: list[str], since: float, changes: Iterable[str] = (), rejected: bool = False) -> Held:
    """A quarantine from its fields. Ledgers that older versions wrote lack the last ones."""
    return Held(tuple(gone), since, tuple(changes), rejected)


def _moved(plain: Mapping[str, object]) -> Iterable[tuple[str, tuple[list[str], float]]]:
    moved = plain.get("moved")
    return moved.items() if isinstance(moved, dict) else ()
