"""The table of judgement, a row a case: what the Hub says, pass by pass, and what clients see then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from tests.core.judged import (
    INTERVAL,
    START,
    Account,
    Told,
    asst,
    content,
    directly,
    listing,
    many,
    orgs,
    policy,
    slug,
    trial,
)

from hublet.core import operations as ops
from hublet.core.outcomes import Answered, Malformed, NotModified, Outcome, Refused, Throttled, Unreachable
from hublet.core.questions import Everything, Organizations, Policy, Question, Roster
from hublet.core.standing import RELOCK_AFTER
from hublet.core.validators import Validator


def with_etag(told: Told, etag: str) -> Told:
    """The answer as a Hub gives it that has validators."""
    operation, outcome = told
    assert isinstance(outcome, Answered)
    return operation, Answered(outcome.facts, Validator("us", etag))


GOOD = tuple(
    with_etag(told, '"1"')
    for told in (
        listing(*many(10)),
        listing("c", scope="acme"),
        orgs("acme"),
        policy({"telemetry": False}),
        trial(),
        directly("default", content()),
    )
)
FIRST = START + INTERVAL
"""When the good pass is."""
UNCHANGED = NotModified(Validator("us", '"1"', at=FIRST))
OF_ANOTHER = NotModified(Validator("us", '"2"', at=FIRST))
LIST, DEFAULT = ops.ListAssistants(None), ops.GetAssistant(None, False, slug("default"))
ROSTER = Roster(None, False)
NO, NOT_FOUND = Refused(401, "Unauthorized"), Refused(404, "Assistant not found")


def but(*told: Told) -> tuple[Told, ...]:
    """The good pass with these answers in it instead."""
    other = {operation for operation, _ in told}
    return (*told, *(each for each in GOOD if each[0] not in other))


def all_(*outcomes: Outcome) -> tuple[Told, ...]:
    """The same operations, each with one of these outcomes in turn."""
    return tuple((operation, outcomes[at % len(outcomes)]) for at, (operation, _) in enumerate(GOOD))


@dataclass(frozen=True)
class Row:
    """One row: after a good pass come these passes; then these assistants are listed, these are withdrawn, this is held
    and locked, and this trouble is told. The Questions in `stale` are then as old as the good pass, those in `fresh` of
    now."""

    passes: tuple[tuple[Told, ...], ...]
    names: tuple[str, ...] = tuple(many(10))
    texts: Mapping[Question, object] = field(default_factory=dict)
    withdrawn: Mapping[Question, tuple[int, str]] = field(default_factory=dict)
    held: frozenset[Question] = frozenset()
    locked: bool = False
    stale: tuple[Question, ...] = ()
    fresh: tuple[Question, ...] = ()
    trouble: Mapping[Question, str] = field(default_factory=dict)
    not_before: float = 0.0


KEPT: Mapping[Question, object] = {
    asst("a00"): {"v": 1},
    asst("c", "acme"): {"v": 1},
    asst("default"): {"v": 1},
    Policy(): {"policy": {"telemetry": False}, "orgSlug": "acme"},
}
LESS, HALF = many(10)[2:], many(10)[5:]
ROWS: dict[str, Row] = {
    "200, valid: replaced, fresh": Row(
        (but(listing(*many(10), "new", a00=content(2))),),
        names=(*many(10), "new"),
        texts={asst("a00"): {"v": 2}},
    ),
    "not the Hub's (HTML, no JSON, wrong shape, too large, a redirect elsewhere): kept": Row(
        (but((LIST, Malformed("HTML"))),) * 5, stale=(ROSTER, asst("a00")), trouble={ROSTER: "malformed"}
    ),
    "few missing, said once: kept": Row((but(listing(*LESS)),), trouble={ROSTER: "missing"}, stale=(asst("a00"),)),
    "few missing, said twice: withdrawn": Row(
        (but(listing(*LESS)),) * 2,
        names=tuple(LESS),
        withdrawn={asst("a00"): (404, "Assistant not found"), asst("a01"): (404, "Assistant not found")},
    ),
    "more missing: quarantined, whatever time passes": Row(
        (but(listing(*HALF)),) * 50, held=frozenset({ROSTER}), stale=(asst("a00"),), trouble={ROSTER: "held"}
    ),
    "a whole scope empty: quarantined": Row((but(listing()),) * 50, held=frozenset({ROSTER}), stale=(asst("a00"),)),
    "organizations gone: quarantined": Row(
        (but(orgs()),) * 50, held=frozenset({Organizations()}), stale=(Organizations(),)
    ),
    "config: null where a good one is cached: kept": Row(
        (but(listing(*many(10), a00=content(2, trouble="no config"))),) * 5,
        stale=(asst("a00"),),
        trouble={asst("a00"): "unsound"},
    ),
    "loading was interrupted: kept": Row(
        (but(listing(*many(10), a00=content(2, trouble="loading was interrupted"))),) * 5,
        trouble={asst("a00"): "unsound"},
    ),
    "a fatal error: kept": Row(
        (but(listing(*many(10), a00=content(2, trouble="a fatal error"))),) * 5, trouble={asst("a00"): "unsound"}
    ),
    "a looser policy, said once: the stricter one": Row(
        (but(policy(None)),), stale=(Policy(),), trouble={Policy(): "looser"}
    ),
    "a looser policy, said again an interval later: believed": Row(
        (but(policy({})), but(policy({}))), texts={Policy(): {"policy": {}, "orgSlug": "acme"}}
    ),
    "a looser policy while organizations are gone: never": Row(
        (but(policy(None), orgs()),) * 50, held=frozenset({Organizations()}), trouble={Policy(): "looser"}
    ),
    "401 in one pass: not locked": Row((all_(NO),), stale=tuple(KEPT)),
    "401 in two passes: locked": Row((all_(NO),) * 2, locked=True, stale=tuple(KEPT)),
    "one refused, others answered, said once: kept": Row((but((DEFAULT, NOT_FOUND)),), stale=(asst("default"),)),
    "one 404, others answered, said twice: withdrawn": Row(
        (but((DEFAULT, NOT_FOUND)),) * 2, withdrawn={asst("default"): (404, "Assistant not found")}
    ),
    "one 403, others answered, said twice: withdrawn": Row(
        (but((DEFAULT, Refused(403, "not allowed"))),) * 2, withdrawn={asst("default"): (403, "not allowed")}
    ),
    "404 User not found: kept": Row(
        (but((LIST, Refused(404, "User not found"))),) * 5, stale=(ROSTER,), trouble={ROSTER: "refused"}
    ),
    "everything 401, 404 and gone at once: quarantined (and locked, as 401 is said twice)": Row(
        (all_(NO, NOT_FOUND, Refused(410, "Gone")),) * 50,
        held=frozenset({Everything()}),
        locked=True,
        stale=tuple(KEPT),
    ),
    "everything 404 at once: quarantined": Row(
        (all_(NOT_FOUND),) * 50, held=frozenset({Everything()}), trouble={Everything(): "held"}
    ),
    "429 with Retry-After: not asked before": Row((all_(Throttled(60)),), stale=tuple(KEPT), not_before=60.0),
    "503 with a Retry-After of a day: not asked for an hour": Row((all_(Throttled(86400.0)),), not_before=3600.0),
    "304 for what is kept as it was said: fresh": Row(
        (all_(Unreachable("no")), all_(UNCHANGED)), texts={asst("a00"): {"v": 1}}, fresh=tuple(KEPT)
    ),
    "304 for another answer than the kept one: says nothing": Row((all_(OF_ANOTHER),) * 5, stale=(ROSTER, *KEPT)),
    "304 that nobody asked for: says nothing": Row((all_(NotModified()),) * 5, stale=(ROSTER, *KEPT)),
    "304 for a list of which some are missing: says nothing, and withdraws nothing": Row(
        (but(with_etag(listing(*LESS), '"2"')), but((LIST, OF_ANOTHER))),
        trouble={ROSTER: "missing"},
        stale=(asst("a00"),),
    ),
    "304 for a list that is quarantined: stays so": Row(
        (but(with_etag(listing(*HALF), '"2"')), *(but((LIST, OF_ANOTHER)),) * 50),
        held=frozenset({ROSTER}),
        stale=(asst("a00"),),
        trouble={ROSTER: "held"},
    ),
    "304 for a policy that is looser: the stricter one": Row(
        (but(with_etag(policy(None), '"2"')), *(but((ops.GetPolicy(), OF_ANOTHER)),) * 50),
        stale=(Policy(),),
        trouble={Policy(): "looser"},
    ),
    "5xx, timeout, DNS, TLS, refused: kept": Row(
        (all_(Unreachable("the Hub answered 500")),) * 50, stale=tuple(KEPT), trouble={ROSTER: "unreachable"}
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_what_the_hub_says_becomes_what_clients_see(row: Row) -> None:
    """For each row: what is served, withdrawn, held, locked and told."""
    account = Account()
    account.pass_(*GOOD)
    good_at = account.now
    for told in row.passes:
        account.pass_(*told)
    assert account.names() == list(row.names)
    for question, text in (dict(KEPT) | dict(row.texts)).items():
        if question not in row.withdrawn:
            assert account.text(question) == text
    for question, tombstone in row.withdrawn.items():
        assert account.withdrawn(question) == tombstone
    assert set(account.ledger.held) == row.held
    assert (account.ledger.lock is not None) == row.locked
    for question in row.stale:
        assert account.age(question) == account.now - good_at
    for question in row.fresh:
        assert account.age(question) == 0
    for question, kind in row.trouble.items():
        assert account.trouble(question) == kind
    assert max(0.0, account.ledger.not_before - account.now) == row.not_before
    assert RELOCK_AFTER < INTERVAL
