"""Taking over what is known elsewhere: in another cache of the same account, or in a folder of the user's own files."""

from __future__ import annotations

from dataclasses import replace

from hublet.core.lists import roster_content
from hublet.core.questions import Assistant, Block, Pinned, Policy, Proposed, Question, Roster
from hublet.core.records import Record
from hublet.core.state import Change, Put, State, Verdict, confirmed_at, members


def taken_over(state: State, other: State) -> Verdict:
    """The verdict that takes over every record of `other`, a cache of the same account, which is missing here or which
    the Hub has confirmed later there.

    A policy that is here stays, since another cache must not loosen it; so does a pin. What is in quarantine in the
    other cache is left behind, and its last good content taken. If either cache is locked, the result is.
    """
    changes: list[Change] = []
    confirmed = dict(state.ledger.confirmed)
    for question, known in other.records.items():
        if isinstance(question, Proposed) or (isinstance(question, Pinned | Policy) and question in state.records):
            continue
        at, ours = confirmed_at(other, question) or 0.0, confirmed_at(state, question)
        if ours is not None and ours >= at:
            continue
        changes.append(Put(question, known, "changed" if question in state.records else "added"))
        confirmed[question] = at
        source: Question | None = getattr(known, "source", None)
        if source is not None and source in other.ledger.confirmed:
            confirmed[source] = max(confirmed.get(source, 0.0), other.ledger.confirmed[source])
    ledger = replace(state.ledger, confirmed=confirmed, lock=state.ledger.lock or other.ledger.lock)
    return Verdict(tuple(changes), ledger)


def added(state: State, other: State, now: float) -> Verdict:
    """The verdict that takes over the personal assistants and the blocks of `other`, a folder. They take the place of
    those of the same name, and the personal list names new ones at its end. They are their own source, so no list of
    the Hub withdraws them: they are the user's."""
    changes: list[Change] = []
    confirmed = dict(state.ledger.confirmed)
    roster = Roster(None, False)
    listed = list(members(state.records.get(roster)))
    for question, known in other.records.items():
        if not isinstance(known, Record) or not isinstance(question, Assistant | Block) or _proxied(question):
            continue
        if isinstance(question, Assistant) and "trouble" in known.content.traits:
            continue
        record = replace(known, source=question, changed_at=now)
        changes.append(Put(question, record, "changed" if question in state.records else "added"))
        confirmed[question] = now
    taken = {change.question for change in changes}
    new = [slug for slug in members(other.records.get(roster)) if Assistant(None, False, slug) in taken]
    listed += [slug for slug in new if slug not in listed]
    changes.append(Put(roster, Record(roster_content(listed), roster, now), "changed"))
    confirmed[roster] = now
    return Verdict(tuple(changes), replace(state.ledger, confirmed=confirmed))


def _proxied(question: Question) -> bool:
    return isinstance(question, Assistant) and (question.proxied or question.scope is not None)
