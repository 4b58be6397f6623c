"""The account as it is judged: organizations, a refused key, everything refused, how long the Hub is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.core.judged import (
    Account,
    Told,
    all_401,
    asst,
    bad,
    block,
    content,
    directly,
    listing,
    orgs,
    policy,
    slug,
    trial,
)

from hublet.core import operations as ops
from hublet.core import questions as q
from hublet.core.ledger import Lock
from hublet.core.outcomes import Malformed, NotModified, Outcome, Refused, Throttled, Unreachable
from hublet.core.pace import LONGEST_WAIT
from hublet.core.questions import Organizations, Roster
from hublet.core.standing import RELOCK_AFTER
from hublet.core.state import State, organizations


@pytest.mark.parametrize("outcome", [*bad, Refused(404, "Not found"), Refused(404, "Assistant not found")])
def test_everything_refused_at_once_is_kept(outcome: Outcome) -> None:
    """It may be the Hub's end: the last good answers are kept, whatever the reason and however often it is said."""
    account = Account()
    good = [listing("a", "b"), listing("c", scope="org"), orgs("org"), policy({"x": False}), directly("x", content())]
    account.pass_(*good)
    before = account.state.records
    for _ in range(10):
        account.pass_(*((operation, outcome) for operation, _ in good))
    assert account.state.records == before


def test_organizations_that_are_gone_are_held_with_all_that_is_in_them() -> None:
    """The Hub then refuses their lists, which are kept, too, however much time passes."""
    account = Account()
    account.pass_(orgs("acme", "init"), listing("a"), listing("c", scope="init"), directly("d", content(), "init"))
    gone = Refused(404, "Organization not found")
    for _ in range(20):
        account.pass_(
            orgs("acme"),
            listing("a"),
            (ops.ListAssistants("init"), gone),
            (ops.GetAssistant("init", False, slug("d")), gone),
            after=86400,
        )
    assert [id_ for id_, _, _ in organizations(account.state.records[Organizations()])] == ["acme", "init"]
    assert account.names("init") == ["c"]
    assert account.withdrawn(asst("d", "init")) is None
    assert account.ledger.held[Organizations()].gone == ("init",)
    assert account.age(Organizations()) == 20 * 86400


def test_nothing_in_a_held_organization_is_withdrawn_whatever_the_message() -> None:
    """The Hub says `Assistant not found` there, which says nothing new of an organization that is in quarantine."""
    account = Account()
    account.pass_(orgs("acme", "init"), listing("a"), directly("d", content(), "init"))
    for _ in range(3):
        account.pass_(
            orgs("acme"),
            listing("a"),
            (ops.GetAssistant("init", False, slug("d")), Refused(404, "Assistant not found")),
        )
    assert account.withdrawn(asst("d", "init")) is None


def test_accepting_lost_organizations_drops_their_scopes_and_no_other() -> None:
    """Their records are dropped with all that the ledger has of them, a quarantine within the organization too."""
    account = Account()
    account.pass_(orgs("acme", "init"), listing("a"), listing("b", scope="acme"), listing("c", scope="init"))
    account.pass_(orgs("acme"), listing("a"), listing("b", scope="acme"), listing(scope="init"))
    assert set(account.ledger.held) == {Organizations(), Roster("init", False)}
    account.accept(Organizations())
    assert not [question for question in account.state.records if getattr(question, "scope", None) == "init"]
    assert account.names("acme") == ["b"]
    assert account.names() == ["a"]
    ledger = account.ledger
    assert ledger.held == {}
    for remembered in (ledger.confirmed, ledger.troubles, ledger.absent):
        assert not [question for question in remembered if getattr(question, "scope", None) == "init"]
    account.pass_(orgs("acme"), listing("a"), listing("b", scope="acme"))
    assert [id_ for id_, _, _ in organizations(account.state.records[Organizations()])] == ["acme"]


def test_an_organization_that_is_new_or_renamed_is_taken_at_once() -> None:
    """Taking it at once loses nothing."""
    account = Account()
    account.pass_(orgs("acme"))
    account.pass_(orgs("new", "acme"))
    assert [id_ for id_, _, _ in organizations(account.state.records[Organizations()])] == ["new", "acme"]
    assert account.ledger.held == {}


def test_two_passes_of_401_ten_minutes_apart_lock() -> None:
    """And not sooner. What is kept stays, and so does the lock while the Hub goes on answering 401."""
    account = Account()
    account.pass_(listing("a"), policy({}), orgs("acme"))
    before = account.state.records
    account.pass_(*all_401)
    assert account.ledger.lock is None
    account.pass_(*all_401, after=RELOCK_AFTER - 1)
    assert account.ledger.lock is None
    account.pass_(*all_401, after=1)
    assert account.ledger.lock == Lock("refused", account.now)
    since = account.now
    account.pass_(*all_401)
    assert account.ledger.lock == Lock("refused", since)
    account.pass_((ops.ListAssistants(None), Unreachable("down")))
    assert account.ledger.lock == Lock("refused", since), "an outage does not unlock"
    assert account.state.records == before


def test_a_public_package_does_not_hide_that_the_key_is_refused() -> None:
    """Blocks are given to anybody, so their answers say nothing about the account."""
    account = Account()
    account.pass_(listing("a"), policy({}), orgs("acme"), block())
    success = account.ledger.last_success
    account.pass_(*all_401, block())
    account.pass_(*all_401, block(2))
    assert account.ledger.lock is not None
    assert account.ledger.last_success == success
    assert account.text(q.Block(slug("b"), "latest")) == {"v": 2}


@pytest.mark.parametrize("between", [policy({}), trial(), (ops.ListAssistants(None), NotModified())])
def test_an_answer_in_between_begins_the_count_anew(between: Told) -> None:
    """The Hub has taken the key, so a pass of 401 after it counts as the first one."""
    account = Account()
    account.pass_(*all_401)
    account.pass_(between)
    account.pass_(*all_401)
    assert account.ledger.lock is None
    account.pass_(*all_401)
    assert account.ledger.lock is not None


@pytest.mark.parametrize(
    "told",
    [
        (all_401[:1]),
        (*all_401[:1], (ops.GetPolicy(), Unreachable("down"))),
        (*all_401[:1], (ops.GetPolicy(), Refused(404, "User not found")), (ops.ListOrganizations(), Refused(404, "x"))),
        (*all_401, policy({})),
    ],
)
def test_less_than_two_401_or_any_answer_does_not_lock(told: tuple[Told, ...]) -> None:
    """A single Operation can be refused for a reason of its own."""
    account = Account()
    for _ in range(10):
        account.pass_(*told)
    assert account.ledger.lock is None


def test_only_whole_passes_count_towards_a_lock() -> None:
    """What clients ask in between can't lock the cache."""
    account = Account()
    for _ in range(10):
        account.pass_(*all_401, whole=False)
    assert account.ledger.lock is None


def test_a_lock_ends_when_the_hub_takes_the_key_again_but_not_the_users_own() -> None:
    """Only the user ends `hublet lock`."""
    account = Account()
    account.pass_(*all_401)
    account.pass_(*all_401)
    assert account.ledger.lock is not None
    account.pass_(policy({}))
    assert account.ledger.lock is None
    asked = Lock("asked", account.now)
    account.state = State(account.state.records, replace(account.ledger, lock=asked))
    for _ in range(3):
        account.pass_(policy({}))
    assert account.ledger.lock == asked
    account.pass_(*all_401)
    account.pass_(*all_401)
    assert account.ledger.lock == asked


def test_a_clock_set_back_begins_the_count_of_401_anew() -> None:
    """A first refusal in the future would never be ten minutes ago."""
    account = Account()
    account.pass_(*all_401)
    account.pass_(*all_401, after=-86400)
    assert account.ledger.lock is None
    account.pass_(*all_401)
    assert account.ledger.lock is not None


@pytest.mark.parametrize(("asked", "waited"), [(60.0, 60.0), (LONGEST_WAIT, LONGEST_WAIT), (1e9, LONGEST_WAIT)])
def test_the_hubs_wish_to_be_left_alone_is_kept_but_capped(asked: float, waited: float) -> None:
    """429 and 503 with Retry-After: at most an hour; the longest of several; a shorter one later shortens nothing."""
    account = Account()
    account.pass_((ops.GetPolicy(), Throttled(asked)), (ops.ListOrganizations(), Throttled(5)), trial())
    until = account.now + waited
    assert account.ledger.not_before == until
    account.pass_((ops.GetPolicy(), Throttled(1)), after=10)
    assert account.ledger.not_before == until
    account.pass_((ops.GetPolicy(), Throttled(None)), after=10, whole=False)
    assert account.ledger.not_before == until


def test_failures_count_passes_that_brought_nothing() -> None:
    """They count for the backoff. Any word of the Hub ends the row, also a refusal; what is asked between passes does
    not count."""
    account = Account()
    for n in range(1, 4):
        account.pass_((ops.GetPolicy(), Unreachable("503")), (ops.ListAssistants(None), Malformed("HTML")))
        assert account.ledger.failures == n
    account.pass_((ops.GetPolicy(), Unreachable("503")), whole=False)
    assert account.ledger.failures == 3
    account.pass_((ops.GetPolicy(), Refused(401, "Unauthorized")), (ops.ListAssistants(None), Malformed("HTML")))
    assert account.ledger.failures == 0
    assert account.ledger.last_success is None
    account.pass_(policy({}))
    assert account.ledger.last_success == account.now
