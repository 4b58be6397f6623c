"""Quarantine: what is held until the user accepts or rejects it.

Held are answers that say that much is gone, which may be true or the Hub's end. With sync.hold_commands, assistants
that change what they run or where they send data are held as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from hublet.core.endpoints import endpoint_changes
from hublet.core.ledger import Held, Ledger, Moved
from hublet.core.lists import organizations_without, roster_content
from hublet.core.questions import Assistant, Everything, Proposed, Question, Roster
from hublet.core.records import Content, Record, Withdrawn
from hublet.core.state import Change, Drop, Put, State, Verdict, members
from hublet.core.values import dataclass

NOT_FOUND = "Assistant not found"


def accept(state: State, question: Question, now: float) -> Verdict:
    """The verdict when the user accepts what is held at a Question. Raises KeyError when nothing is held there."""
    ledger, held = state.ledger, state.ledger.held[question]
    match question:
        case Assistant():
            done = _proposed(state, question, held, now)
        case Roster():
            done = _members_gone(state, question, held, now)
        case Everything():
            done = _Accepted(tuple(Drop(other) for other in state.records))
        case _:
            done = _organizations_gone(state, question, held, now)
    told = {question} | {change.question for change in done.changes}
    ledger = replace(
        ledger,
        confirmed={**ledger.confirmed, **done.confirmed},
        moved={**ledger.moved, **done.moved},
        held={other: still for other, still in ledger.held.items() if other != question},
        absent={other: since for other, since in ledger.absent.items() if other not in told},
        troubles={other: trouble for other, trouble in ledger.troubles.items() if other not in told},
    )
    return Verdict(done.changes, _without(ledger, done.changes))


def reject(state: State, question: Question) -> Verdict:
    """The verdict when the user rejects what is held at a Question. What there is stays, and the user is not asked
    again until the Hub says something else. Raises KeyError when nothing is held there."""
    ledger = state.ledger
    held = {**ledger.held, question: replace(ledger.held[question], rejected=True)}
    troubles = {other: t for other, t in ledger.troubles.items() if other != question or t.kind != "held"}
    return Verdict((), replace(ledger, held=held, troubles=troubles))


def is_same(old: Content, new: Content) -> bool:
    """Whether two proposed contents are the same. A rotated secret makes no difference, unless it decides what is run
    or where data is sent."""
    return old.template == new.template and not endpoint_changes(old, new)


@dataclass(frozen=True, slots=True)
class _Accepted:
    """What an acceptance changes: records, and what the ledger says of them from now on."""

    changes: tuple[Change, ...] = ()
    confirmed: Mapping[Question, float] = field(default_factory=dict)
    moved: Mapping[Question, Moved] = field(default_factory=dict)


def _proposed(state: State, assistant: Assistant, held: Held, now: float) -> _Accepted:
    """The proposed content of an assistant takes the place of the kept one."""
    name = Proposed.of(assistant)
    proposed = state.records.get(name)
    if not isinstance(proposed, Record):
        return _Accepted()  # the store could not read it: the next pass brings it again
    new = Record(proposed.content, proposed.source, now)
    return _Accepted(
        (Put(assistant, new, "changed" if assistant in state.records else "added"), Drop(name)),
        confirmed={assistant: proposed.changed_at},
        moved={assistant: Moved(held.changes, now)},
    )


def _members_gone(state: State, roster: Roster, held: Held, now: float) -> _Accepted:
    """The assistants that are gone are withdrawn, and taken out of the roster."""
    changes: list[Change] = []
    kept = []
    confirmed: dict[Question, float] = {}
    for slug in members(state.records.get(roster)):
        if str(slug) not in held.gone:
            kept.append(slug)
            continue
        assistant = Assistant(roster.scope, roster.proxied, slug)
        changes.append(Put(assistant, Withdrawn(404, NOT_FOUND, now), "withdrawn"))
        if Proposed.of(assistant) in state.records:
            changes.append(Drop(Proposed.of(assistant)))
        confirmed[assistant] = now
    changes.append(Put(roster, Record(roster_content(kept), roster, now), "changed"))
    return _Accepted(tuple(changes), confirmed)


def _organizations_gone(state: State, question: Question, held: Held, now: float) -> _Accepted:
    """Everything in the scopes of the organizations that are gone is dropped, and they are taken out of their list."""
    scopes = set(held.gone)
    changes: list[Change] = [Drop(other) for other in state.records if getattr(other, "scope", None) in scopes]
    known = state.records.get(question)
    if not isinstance(known, Record):
        return _Accepted(tuple(changes))
    left = Record(organizations_without(known.content, scopes), question, now)
    changes.append(Put(question, left, "changed"))
    # The organizations that are left are still what the Hub last said of them, and as old as that.
    confirmed = {question: state.ledger.confirmed.get(question, known.changed_at)}
    return _Accepted(tuple(changes), confirmed)


def _without(ledger: Ledger, changes: Iterable[Change]) -> Ledger:
    """The ledger without anything about Questions that are dropped."""
    gone = {change.question for change in changes if isinstance(change, Drop)}
    if not gone:
        return ledger
    proposed = {question.assistant for question in gone if isinstance(question, Proposed)}
    return replace(
        ledger,
        confirmed={question: at for question, at in ledger.confirmed.items() if question not in gone},
        troubles={question: trouble for question, trouble in ledger.troubles.items() if question not in gone},
        absent={question: since for question, since in ledger.absent.items() if question not in gone},
        held={question: held for question, held in ledger.held.items() if question not in gone | proposed},
        moved={question: moved for question, moved in ledger.moved.items() if question not in gone},
    )
