"""What is held until a person agrees: answers that say that much is gone, which may be true or the Hub's end, and (with
sync.hold_commands) assistants that change what they run or where they send things."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hublet.core.endpoints import differences
from hublet.core.ledger import Ledger, Moved
from hublet.core.lists import organizations_without, roster_content
from hublet.core.questions import Assistant, Everything, Proposed, Question, Roster
from hublet.core.records import Content, Record, Withdrawn
from hublet.core.state import Change, Drop, Put, State, Verdict, members

NOT_FOUND = "Assistant not found"


def accept(state: State, question: Question, now: float) -> Verdict:
    """The user agrees with what is held at a Question: gone, or changed. Raises KeyError when nothing is held there."""
    ledger, held = state.ledger, state.ledger.held[question]
    confirmed = dict(ledger.confirmed)
    moved = dict(ledger.moved)
    known = state.records.get(question)
    changes: list[Change] = []
    if isinstance(question, Assistant):
        proposed = state.records.get(Proposed.of(question))
        if isinstance(proposed, Record):  # else it was unreadable: the next pass brings it again
            new = Record(proposed.content, proposed.source, now)
            changes.append(Put(question, new, "changed" if question in state.records else "added"))
            changes.append(Drop(Proposed.of(question)))
            confirmed[question] = proposed.changed_at
            moved[question] = Moved(held.changes, now)
    elif isinstance(question, Roster):
        kept = []
        for slug in members(known):
            assistant = Assistant(question.scope, question.proxied, slug)
            if str(slug) in held.gone:
                changes.append(Put(assistant, Withdrawn(404, NOT_FOUND, now), "withdrawn"))
                if Proposed.of(assistant) in state.records:
                    changes.append(Drop(Proposed.of(assistant)))
                confirmed[assistant] = now
            else:
                kept.append(slug)
        changes.append(Put(question, Record(roster_content(kept), question, now), "changed"))
    elif isinstance(question, Everything):
        changes += [Drop(other) for other in state.records]
    else:
        scopes = set(held.gone)
        changes += [Drop(other) for other in state.records if getattr(other, "scope", None) in scopes]
        if isinstance(known, Record):  # what stands is still the last that the Hub said of it, and as old
            left = Record(organizations_without(known.content, scopes), question, now)
            changes.append(Put(question, left, "changed"))
            confirmed.setdefault(question, known.changed_at)
    told = {question} | {change.question for change in changes}
    ledger = replace(
        ledger,
        confirmed=confirmed,
        moved=moved,
        held={other: still for other, still in ledger.held.items() if other != question},
        absent={other: since for other, since in ledger.absent.items() if other not in told},
        troubles={other: trouble for other, trouble in ledger.troubles.items() if other not in told},
    )
    return Verdict(tuple(changes), _without(ledger, changes))


def reject(state: State, question: Question) -> Verdict:
    """The user keeps what there is: the same is not held up to them again until the Hub says something else. Raises
    KeyError when nothing is held there."""
    ledger = state.ledger
    held = {**ledger.held, question: replace(ledger.held[question], rejected=True)}
    troubles = {other: t for other, t in ledger.troubles.items() if other != question or t.kind != "held"}
    return Verdict((), replace(ledger, held=held, troubles=troubles))


def is_same(old: Content, new: Content) -> bool:
    """Whether two proposals say the same: a secret that was rotated makes no other one, unless it decides what is run
    or where things go."""
    return old.template == new.template and not differences(old, new)


def _without(ledger: Ledger, changes: Iterable[Change]) -> Ledger:
    """A ledger that remembers nothing of what is dropped."""
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
