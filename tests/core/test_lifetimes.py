"""For how long an answer is fresh, and what a pass asks for again."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core import operations as ops
from hublet.core.ledger import Ledger, Trouble
from hublet.core.lifetimes import fresh_for, is_due, is_of_each_pass, rested, seldom_due
from hublet.core.outcomes import root
from hublet.core.questions import (
    Assistant,
    AuthScope,
    Block,
    Credits,
    Download,
    Fqsn,
    FreeTrial,
    Organizations,
    Policy,
    Question,
    Roster,
    Secret,
    Slug,
)
from hublet.core.records import Content, Known, Record, Template, Withdrawn
from hublet.core.state import State

NOW = 1_750_000_000.0
INTERVAL, SELDOM = 900.0, 86400.0
SLUG = Slug("dana", "rust-rules")
A_SECRET = Secret(None, Fqsn((SLUG,), "TOKEN"))
TRIAL: Question = FreeTrial()


def record(question: Question, text: bytes = b"{}", at: float = NOW) -> Record:
    return Record(Content(Template(text)), question, at)


def known(question: Question, at: float, **ledger: Any) -> State:
    return State({question: record(question, at=at)}, replace(Ledger(confirmed={question: at}), **ledger))


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        (Policy(), b"{}", INTERVAL),
        (Organizations(), b"{}", INTERVAL),
        (Roster(None, False), b"[]", INTERVAL),
        (Assistant(None, False, SLUG), b"{}", INTERVAL),
        (Credits(), b"{}", INTERVAL),
        (FreeTrial(), b"{}", SELDOM),
        (AuthScope(), b"{}", SELDOM),
        (Block(SLUG, "latest"), b"{}", INTERVAL),
        (Block(SLUG, "1.0.0"), b"{}", inf),
        (Download(SLUG, "latest"), b"", INTERVAL),
        (Download(SLUG, "1.0.0"), b"", inf),
        (A_SECRET, b'{"found":true,"secretLocation":{"secretType":"user"}}', SELDOM),
        (A_SECRET, b'{"found":false,"secretLocation":{"secretType":"not_found"}}', INTERVAL),
        (A_SECRET, b"null", INTERVAL),
    ],
)
def test_the_freshness_lifetime_of_each(question: Question, text: bytes, expected: float) -> None:
    """It is short for what somebody may be waiting for: a value that is not there yet, or credits."""
    assert fresh_for(question, record(question, text), interval=INTERVAL, seldom=SELDOM) == expected


@pytest.mark.parametrize("question", [Block(SLUG, "1.0.0"), FreeTrial(), AuthScope(), A_SECRET])
@pytest.mark.parametrize("gone", [None, Withdrawn(404, "Not found", NOW)])
def test_what_is_not_there_is_looked_for_each_interval(question: Question, gone: Known | None) -> None:
    """Also for a package of a fixed version: once it is there, it is never asked for again."""
    assert fresh_for(question, gone, interval=INTERVAL, seldom=SELDOM) == INTERVAL


@given(st.floats(-30 * SELDOM, 30 * SELDOM), st.floats(1, 7 * SELDOM))
def test_due_is_what_is_as_old_as_that_or_of_the_future(age: float, seldom: float) -> None:
    """A clock that was set back does not put an asking off for years."""
    at = NOW - age
    assert is_due(known(TRIAL, at), TRIAL, NOW, seldom=seldom) == (NOW - at < 0 or NOW - at >= seldom)


@given(st.floats(0, SELDOM), st.sampled_from(["troubles", "absent", "held"]))
def test_due_is_whatever_something_is_amiss_with(age: float, where: str) -> None:
    """A value that one pass took away is to be asked for in the next: only the second is believed."""
    what: dict[str, object] = {"troubles": Trouble("unreachable", "away", NOW, NOW), "absent": NOW, "held": object()}
    assert is_due(known(TRIAL, NOW - age, **{where: {TRIAL: what[where]}}), TRIAL, NOW, seldom=SELDOM)


def test_due_is_what_was_never_answered() -> None:
    assert is_due(State(), TRIAL, NOW, seldom=SELDOM)


@given(st.sets(st.sampled_from(["org_a", "org_b"])), st.floats(0, 3 * SELDOM))
def test_what_rests_is_what_a_pass_asks_by_itself_and_is_not_due(scopes: set[str], age: float) -> None:
    """What each pass asks for never rests. When nothing may rest, nothing does."""
    asked = {ops.GetFreeTrialStatus(), ops.GetAuthScope(), *(op for s in (None, *scopes) for op in ops.defaults_of(s))}
    records: dict[Question, Known] = {root(op): record(root(op), at=NOW - age) for op in asked}
    state = State(records, Ledger(confirmed=dict.fromkeys(records, NOW - age)))
    found = rested(state, NOW, scopes=sorted(scopes), seldom=SELDOM)
    assert found == (asked if NOW - (NOW - age) < SELDOM else frozenset())
    assert not any(is_of_each_pass(operation) for operation in asked)
    assert rested(state, NOW, scopes=sorted(scopes), seldom=0.0) == frozenset()


def test_what_was_asked_for_once_is_asked_again_when_its_time_has_come() -> None:
    """Except for packages of a fixed version, and those that are not there."""
    young, old = NOW - SELDOM / 2, NOW - 2 * SELDOM
    ages: dict[Question, float] = {
        Credits(): old, Block(SLUG, "latest"): old, Download(SLUG, "latest"): young, Block(SLUG, "1.0.0"): old,
    }  # fmt: skip
    records: dict[Question, Known] = {question: record(question, at=at) for question, at in ages.items()}
    gone = Block(Slug("dana", "gone"), "latest")
    state = State(records | {gone: Withdrawn(404, "Not found", old)}, Ledger(confirmed=ages))
    assert set(seldom_due(state, NOW, seldom=SELDOM)) == {ops.GetCredits(), ops.GetBlock(SLUG, "latest")}


def test_what_each_pass_asks() -> None:
    """Lists, the policy, the organizations and assistants that clients asked for by name."""
    assert is_of_each_pass(ops.ListAssistants(None))
    assert is_of_each_pass(ops.GetPolicy())
    assert is_of_each_pass(ops.ListOrganizations())
    assert is_of_each_pass(ops.GetAssistant(None, False, SLUG))
    assert not is_of_each_pass(ops.GetBlock(SLUG, "latest"))
    assert not is_of_each_pass(ops.SyncSecrets.of(None, (A_SECRET.fqsn,)))
