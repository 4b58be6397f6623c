"""A scope's list as it is judged: what is missing is kept, withdrawn or held, and in which order it stands."""

from __future__ import annotations

import pytest
from tests.core.judged import (
    INTERVAL,
    START,
    Account,
    asst,
    content,
    listing,
    many,
    orgs,
    slug,
)

from hublet.core import operations as ops
from hublet.core.lists import merged
from hublet.core.outcomes import Malformed, Unreachable
from hublet.core.questions import Roster, Slug
from hublet.core.state import Put


@pytest.mark.parametrize(
    ("had", "missing", "withdrawn"),
    [
        (1, 1, False),
        (2, 1, True),
        (2, 2, False),
        (3, 1, True),
        (3, 2, True),
        (3, 3, False),
        (10, 2, True),
        (10, 3, False),
        (11, 2, True),
        (11, 3, False),
        (15, 3, True),
        (20, 4, True),
        (20, 5, False),
        (20, 20, False),
    ],
)
def test_few_missing_are_withdrawn_by_a_second_pass_and_many_are_held(had: int, missing: int, withdrawn: bool) -> None:
    """Few are two or a fifth, while others stay. More, or a whole scope, are held, however much time passes."""
    account = Account()
    account.pass_(listing(*many(had)))
    gone, left = many(had)[:missing], many(had)[missing:]
    account.pass_(listing(*left))
    assert account.names() == many(had), "one pass withdraws nothing"
    verdict = account.pass_(listing(*left))
    if withdrawn:
        assert account.names() == left
        assert {c.question for c in verdict.changes if isinstance(c, Put) and c.why == "withdrawn"} == set(
            map(asst, gone)
        )
        assert {account.withdrawn(asst(name)) for name in gone} == {(404, "Assistant not found")}
        assert account.ledger.held == {}
    else:
        for _ in range(50):
            account.pass_(listing(*left), after=86400)
        assert account.names() == many(had)
        assert account.ledger.held[Roster(None, False)].gone == tuple(f"o/{name}" for name in gone)
        assert account.ledger.held[Roster(None, False)].since == START + 2 * INTERVAL
        assert account.trouble(Roster(None, False)) == "held"
        assert not [name for name in left if account.trouble(asst(name))]


def test_one_that_returns_in_between_is_not_withdrawn() -> None:
    """Two passes in a row have to say so."""
    account = Account()
    account.pass_(listing("a", "b", "c"))
    for _ in range(5):
        account.pass_(listing("a", "c"))
        assert account.trouble(Roster(None, False)) == "missing"
        account.pass_(listing("a", "b", "c"))
        assert account.trouble(Roster(None, False)) is None
    assert account.names() == ["a", "b", "c"]


def test_a_pass_that_says_nothing_does_not_count_as_the_second() -> None:
    """An outage between the two passes withdraws nothing by itself."""
    account = Account()
    account.pass_(listing("a", "b", "c"))
    account.pass_(listing("a", "c"))
    account.pass_((ops.ListAssistants(None), Unreachable("down")), (ops.GetPolicy(), Malformed("HTML")))
    assert account.names() == ["a", "b", "c"]
    account.pass_(listing("a", "c"))
    assert account.names() == ["a", "c"]


def test_the_same_instant_is_not_a_second_pass_and_a_clock_set_back_starts_over() -> None:
    """Time has to have passed between the two, by our own clock."""
    account = Account()
    account.pass_(listing("a", "b", "c"))
    account.pass_(listing("a", "c"))
    account.pass_(listing("a", "c"), after=0)
    assert account.names() == ["a", "b", "c"]
    account.pass_(listing("a", "c"), after=-86400 * 365)
    assert account.names() == ["a", "b", "c"]
    account.pass_(listing("a", "c"))
    assert account.names() == ["a", "c"]


def test_what_is_missing_stays_where_it_stood_and_ages() -> None:
    """The list goes on being confirmed, while the one that it does not name keeps the time of its last confirmation."""
    account = Account()
    account.pass_(listing("a", "b", "c"))
    account.pass_(listing("c", "a", "d"))
    assert account.names() == ["c", "a", "b", "d"]
    assert account.age(Roster(None, False)) == account.age(asst("a")) == 0
    assert account.age(asst("b")) == INTERVAL
    account.pass_((ops.ListAssistants(None), Unreachable("down")))
    assert account.age(asst("b")) == 2 * INTERVAL
    verdict = account.pass_(listing("a", "b", "c", "d"))
    assert account.age(asst("b")) == 0
    assert {c.why for c in verdict.changes if isinstance(c, Put) and c.question == asst("b")} == {"moved"}


def test_one_that_comes_back_after_it_was_withdrawn_is_there_again() -> None:
    """A tombstone does not keep it away."""
    account = Account()
    account.pass_(listing("a", "b"))
    account.pass_(listing("a"))
    account.pass_(listing("a"))
    assert account.withdrawn(asst("b")) is not None
    account.pass_(listing("a", "b"))
    assert account.names() == ["a", "b"]
    account.pass_(listing("a"))
    assert account.names() == ["a", "b"], "the count begins anew"


def test_an_empty_scope_is_never_believed_by_time_and_leaves_others_alone() -> None:
    """The other scope is updated in the same passes."""
    account = Account()
    account.pass_(listing("a", "b"), listing("c", scope="org"), orgs("org"))
    for version in range(2, 40):
        account.pass_(listing(), listing("c", scope="org", c=content(version)), orgs("org"), after=86400)
    assert account.names() == ["a", "b"]
    assert account.text(asst("c", "org")) == {"v": 39}
    assert set(account.ledger.held) == {Roster(None, False)}
    assert account.age(asst("a")) == 38 * 86400


def test_a_held_scope_still_updates_those_that_are_there() -> None:
    """Half of the scope is gone. The other half is updated as the Hub says, and new ones are added."""
    account = Account()
    account.pass_(listing(*many(10)))
    account.pass_(listing(*many(5), "new", a00=content(2)))
    assert account.names() == [*many(10), "new"]
    assert account.text(asst("a00")) == {"v": 2}
    assert account.age(asst("a09")) == INTERVAL


def test_a_hold_ends_when_the_hub_names_them_again() -> None:
    """Nothing of it is left, so the next loss is held anew."""
    account = Account()
    account.pass_(listing(*many(10)))
    account.pass_(listing())
    account.pass_(listing(*many(10)))
    assert account.ledger.held == {}
    assert account.trouble(Roster(None, False)) is None
    account.pass_(listing())
    assert account.ledger.held[Roster(None, False)].since == account.now


def test_a_hold_is_ended_by_the_user() -> None:
    """When it is accepted, they are withdrawn at once, the list is the Hub's, and nothing of the quarantine is left."""
    account = Account()
    account.pass_(listing(*many(10)))
    account.pass_(listing(*many(4)))
    account.accept(Roster(None, False))
    assert account.names() == many(4)
    assert account.withdrawn(asst("a09")) == (404, "Assistant not found")
    assert account.age(asst("a09")) == 0
    assert account.ledger.held == {}
    assert account.ledger.troubles == {}
    verdict = account.pass_(listing(*many(4)))
    assert verdict.changes == ()
    with pytest.raises(KeyError):
        account.accept(Roster(None, False))


def test_a_whole_scope_can_be_accepted_as_empty() -> None:
    """The user says so: the list is empty, and stays so without a new hold."""
    account = Account()
    account.pass_(listing("a"))
    account.pass_(listing())
    account.accept(Roster(None, False))
    assert account.names() == []
    assert account.pass_(listing()).changes == ()
    assert account.ledger.held == {}


@pytest.mark.parametrize(
    ("old", "new", "keep", "result"),
    [
        ("abc", "abc", "", "abc"),
        ("abc", "ac", "b", "abc"),
        ("abc", "ca", "b", "cab"),
        ("abc", "bc", "a", "abc"),
        ("abc", "", "abc", "abc"),
        ("abcd", "dx", "bc", "bcdx"),
        ("abc", "xyz", "b", "bxyz"),
    ],
)
def test_the_kept_stand_behind_the_one_they_stood_behind(old: str, new: str, keep: str, result: str) -> None:
    """The order is the Hub's new one; those that it does not name stay behind the same neighbour."""

    def of(text: str) -> tuple[Slug, ...]:
        return tuple(map(slug, text))

    assert merged(of(old), of(new), frozenset(of(keep))) == of(result)
