"""What is known at one moment, and the changes that lead to the next.

A State is never changed: whatever decides (judgement, the user's quarantine, a pin) gives a Verdict, and `apply` makes
the next State of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Literal, assert_never

import orjson

from hublet.core.ledger import Ledger
from hublet.core.outcomes import root
from hublet.core.questions import Assistant, Question, Roster, Slug
from hublet.core.records import Known, Record, Withdrawn
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class State:
    """All records, and the ledger that belongs to them."""

    records: Mapping[Question, Known] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)


@dataclass(frozen=True, slots=True)
class Put:
    """A record or a tombstone takes the place of what there is. `moved`: only the record's source is another."""

    question: Question
    known: Known
    why: Literal["added", "changed", "moved", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing is kept of a Question any more."""

    question: Question


Change = Put | Drop


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision: the changes of records, and the ledger as it is after them."""

    changes: tuple[Change, ...]
    ledger: Ledger


def confirmed_at(state: State, question: Question) -> float | None:
    """When the Hub last said what is kept of a Question, in its list or when asked for it directly; None when nothing
    is kept."""
    known = state.records.get(question)
    confirmed = state.ledger.confirmed
    match known:
        case Record():
            listed = confirmed.get(known.source, known.changed_at)
            return max(listed, confirmed.get(question, listed))
        case Withdrawn():
            return confirmed.get(question, known.since)
    return None


def apply(state: State, verdict: Verdict) -> State:
    """The state after a verdict."""
    records = dict(state.records)
    for change in verdict.changes:
        match change:
            case Put(question, known):
                records[question] = known
            case Drop(question):
                records.pop(question, None)
            case _:
                assert_never(change)
    return State(records, _without_touched(verdict, state.ledger))


def _without_touched(verdict: Verdict, before: Ledger) -> Ledger:
    """The verdict's ledger without the older validators that cover a changed record: the Hub would confirm with them
    what is no longer kept. The validator of a list is taken to cover every assistant of its scope, named in it or
    not."""
    touched: set[Question] = set()
    for change in verdict.changes:
        touched.add(change.question)
        if isinstance(change.question, Assistant):
            touched.add(Roster(change.question.scope, change.question.proxied))
    validators = {
        operation: validator
        for operation, validator in verdict.ledger.validators.items()
        if validator is not before.validators.get(operation) or root(operation) not in touched
    }
    return replace(verdict.ledger, validators=validators) if validators != verdict.ledger.validators else verdict.ledger


def members(known: Known | None) -> tuple[Slug, ...]:
    """The slugs of a roster's record, in order; empty when there is none."""
    if not isinstance(known, Record):
        return ()
    return tuple(Slug(owner, package) for owner, package in orjson.loads(known.content.template.text))


def organizations(known: Known | None) -> tuple[tuple[str, str, str], ...]:
    """(id, slug, name) of each organization of a record, in order; empty when there is none."""
    if not isinstance(known, Record):
        return ()
    # The holes of icons are inside strings, so a text without the addresses is JSON all the same.
    value = orjson.loads(known.content.template.text)
    return tuple((org["id"], org["slug"], org["name"]) for org in value["organizations"])
