"""What follows from a pass: every row of the judgement's table, and what must hold for any row of passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hublet.core import operations as ops
from hublet.core import questions as q
from hublet.core.judgement import RELOCK_AFTER, judge, merged, restrictions
from hublet.core.ledger import Ledger, Lock, ledger_from_plain, ledger_to_plain
from hublet.core.outcomes import (
    Answered,
    Malformed,
    NotModified,
    Outcome,
    PassReport,
    Refused,
    Throttled,
    Unreachable,
)
from hublet.core.pace import LONGEST_WAIT
from hublet.core.quarantine import accept
from hublet.core.questions import PERSONAL, Assistant, Icon, Organizations, Policy, Roster, Scope, Slug
from hublet.core.records import Content, Fact, Hole, Record, Template, Withdrawn
from hublet.core.state import Drop, Put, State, Verdict, apply, confirmed_at, members, organizations

START = 1_750_000_000.0
INTERVAL = 900.0
Told = tuple[ops.Operation, Outcome]


def content(version: object = 1, *, trouble: str | None = None, icon: str | None = None) -> Content:
    text = orjson.dumps({"v": version})
    holes = (Hole(1, "icon", icon),) if icon else ()
    return Content(Template(text, holes), {}, {"trouble": trouble} if trouble else {})


def slug(name: str) -> Slug:
    return Slug("o", name)


def asst(name: str, scope: Scope = None) -> Assistant:
    return Assistant(scope, False, slug(name))


def listing(*names: str, scope: Scope = None, **contents: Content) -> Told:
    """A list's answer; `contents` says what one of them holds, if not the usual."""
    facts = [Fact(asst(name, scope), contents.get(name, content())) for name in names]
    roster = Content(Template(orjson.dumps([["o", name] for name in names])))
    return ops.ListAssistants(scope), Answered((*facts, Fact(Roster(scope, False), roster)))


def directly(name: str, says: Content, scope: Scope = None) -> Told:
    return ops.GetAssistant(scope, False, slug(name)), Answered((Fact(asst(name, scope), says),))


def orgs(*ids: str) -> Told:
    value = {"organizations": [{"id": id_, "name": id_.upper(), "slug": id_} for id_ in ids]}
    return ops.ListOrganizations(), Answered((Fact(Organizations(), Content(Template(orjson.dumps(value)))),))


def policy(value: dict[str, object] | None, slug: str | None = "acme") -> Told:
    text = orjson.dumps({"policy": value, "orgSlug": slug if value is not None else None})
    return ops.GetPolicy(), Answered((Fact(Policy(), Content(Template(text))),))


def trial() -> Told:
    return ops.GetFreeTrialStatus(), Answered((Fact(q.FreeTrial(), Content(Template(b"{}"))),))


def block(version: int = 1) -> Told:
    return ops.GetBlock(slug("b"), "latest"), Answered((Fact(q.Block(slug("b"), "latest"), content(version)),))


@dataclass
class Account:
    """A state under passes. Every pass is checked for what must hold of all of them."""

    now: float = START
    state: State = field(default_factory=State)

    def pass_(self, *told: Told, after: float = INTERVAL, whole: bool = True, icons: tuple[Fact, ...] = ()) -> Verdict:
        self.now += after
        report = PassReport(told, icons, whole)
        verdict = judge(self.state, report, self.now, interval=INTERVAL)
        assert judge(self.state, report, self.now, interval=INTERVAL) == verdict, "judging is not deterministic"
        self.settle(verdict)
        return verdict

    def settle(self, verdict: Verdict) -> None:
        before = self.state
        questions = [change.question for change in verdict.changes]
        assert len(set(questions)) == len(questions), "a Question is changed twice"
        self.state = apply(self.state, verdict)
        assert ledger_from_plain(orjson.loads(orjson.dumps(ledger_to_plain(self.state.ledger)))) == self.state.ledger
        for change in verdict.changes:
            if isinstance(change, Put):
                assert before.records.get(change.question) != change.known, "a change that changes nothing"

    def accept(self, question: q.Question) -> Verdict:
        verdict = accept(self.state, question, self.now)
        self.settle(verdict)
        return verdict

    def names(self, scope: Scope = None) -> list[str]:
        """The assistants that a client sees in a list, in order."""
        listed = members(self.state.records.get(Roster(scope, False)))
        return [s.package for s in listed if isinstance(self.state.records.get(Assistant(scope, False, s)), Record)]

    def text(self, question: q.Question) -> Any:
        known = self.state.records[question]
        assert isinstance(known, Record)
        return orjson.loads(known.content.template.text)

    def withdrawn(self, question: q.Question) -> tuple[int, str] | None:
        known = self.state.records.get(question)
        return (known.status, known.message) if isinstance(known, Withdrawn) else None

    def trouble(self, question: q.Question) -> str | None:
        found = self.state.ledger.troubles.get(question)
        return found.kind if found else None

    def age(self, question: q.Question) -> float:
        at = confirmed_at(self.state, question)
        assert at is not None
        return self.now - at

    @property
    def ledger(self) -> Ledger:
        return self.state.ledger


def many(count: int) -> list[str]:
    return [f"a{n:02d}" for n in range(count)]


def test_what_the_hub_says_is_kept_and_replaces_what_was_kept() -> None:
    """200 and valid: added, then changed, in place; what did not change is no change."""
    account = Account()
    assert {c.why for c in account.pass_(listing("a", "b"), orgs("org"), policy({})).changes if isinstance(c, Put)} == {
        "added"
    }
    verdict = account.pass_(listing("b", "a", "c", a=content(2)), orgs("org"), policy({}))
    assert {(c.question, c.why) for c in verdict.changes if isinstance(c, Put)} == {
        (asst("a"), "changed"),
        (asst("c"), "added"),
        (Roster(None, False), "changed"),
    }
    assert account.names() == ["b", "a", "c"]
    assert account.text(asst("a")) == {"v": 2}


def test_a_pass_in_which_nothing_changed_writes_no_record() -> None:
    """Only the ledger moves on; every age begins anew."""
    account = Account()
    told = (listing("a", "b"), listing("c", scope="org"), orgs("org"), policy({"x": False}), trial(), block())
    account.pass_(*told)
    verdict = account.pass_(*told)
    assert verdict.changes == ()
    assert {account.age(question) for question in account.state.records} == {0.0}
    assert account.ledger.last_pass == account.ledger.last_success == account.now


bad: list[Outcome] = [
    Malformed("HTML"),
    Unreachable("timeout"),
    Throttled(None),
    Throttled(60),
    Refused(401, "Unauthorized"),
    Refused(404, "User not found"),
    Refused(404, "Organization not found"),
]
operations_ = [ops.ListAssistants(None), ops.ListAssistants("org"), ops.ListOrganizations(), ops.GetPolicy()]


@pytest.mark.parametrize("outcome", bad)
@pytest.mark.parametrize(
    "operation", [*operations_, ops.GetAssistant(None, False, slug("x")), ops.GetBlock(slug("b"), "latest")]
)
def test_what_only_looks_like_an_answer_changes_nothing(operation: ops.Operation, outcome: Outcome) -> None:
    """HTML, timeouts, refusals of the account: kept for ever, with what went wrong and since when; it ages."""
    account = Account()
    good = [
        listing("a"),
        listing("c", scope="org"),
        orgs("org"),
        policy({"x": False}),
        block(),
        directly("x", content()),
    ]
    account.pass_(*good)
    before = account.state.records
    for _ in range(5):
        verdict = account.pass_((operation, outcome), *(told for told in good if told[0] != operation))
        assert verdict.changes == ()
    assert account.state.records == before
    question = next(fact.question for op, said in good if op == operation for fact in said.facts[-1:])  # type: ignore[union-attr]
    assert account.trouble(question) is not None
    assert account.ledger.troubles[question].since == START + 2 * INTERVAL
    assert account.ledger.troubles[question].at == account.now
    assert account.age(question) == 5 * INTERVAL
    account.pass_(*good)
    assert account.trouble(question) is None
    assert account.age(question) == 0


@pytest.mark.parametrize("outcome", [*bad, Refused(404, "Not found"), Refused(404, "Assistant not found")])
def test_everything_refused_at_once_is_kept(outcome: Outcome) -> None:
    """It may be the Hub's end: last good, whatever the reason and however often."""
    account = Account()
    good = [listing("a", "b"), listing("c", scope="org"), orgs("org"), policy({"x": False}), directly("x", content())]
    account.pass_(*good)
    before = account.state.records
    for _ in range(10):
        account.pass_(*((operation, outcome) for operation, _ in good))
    assert account.state.records == before


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
    """Up to two or a fifth, while others stand; a whole scope and everything above is held, whatever time passes."""
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
    """The list goes on being confirmed; the one that it does not name is frozen at its last confirmation."""
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
    """A tombstone is no ban."""
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
    """Half the scope is gone: the other half is as fresh as the Hub says, and new ones are taken."""
    account = Account()
    account.pass_(listing(*many(10)))
    account.pass_(listing(*many(5), "new", a00=content(2)))
    assert account.names() == [*many(10), "new"]
    assert account.text(asst("a00")) == {"v": 2}
    assert account.age(asst("a09")) == INTERVAL


def test_a_hold_ends_when_the_hub_names_them_again() -> None:
    """No trace is left; the next time is a new one."""
    account = Account()
    account.pass_(listing(*many(10)))
    account.pass_(listing())
    account.pass_(listing(*many(10)))
    assert account.ledger.held == {}
    assert account.trouble(Roster(None, False)) is None
    account.pass_(listing())
    assert account.ledger.held[Roster(None, False)].since == account.now


def test_a_hold_is_ended_by_the_user() -> None:
    """Accepted: withdrawn at once, the list is the Hub's, nothing is remembered of the hold."""
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


def test_organizations_that_are_gone_are_held_with_all_that_is_in_them() -> None:
    """Their lists are refused then: kept too, whatever time passes."""
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
    """The Hub says `Assistant not found` there: of an organization that is in quarantine that is no news."""
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
    """Records, and all that is remembered of them: a hold within the organization too."""
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
    """Nothing is lost by it."""
    account = Account()
    account.pass_(orgs("acme"))
    account.pass_(orgs("new", "acme"))
    assert [id_ for id_, _, _ in organizations(account.state.records[Organizations()])] == ["new", "acme"]
    assert account.ledger.held == {}


@pytest.mark.parametrize("trouble", ["a fatal error", "no config", "loading was interrupted"])
@pytest.mark.parametrize("asked", [True, False], ids=["directly", "in the list"])
def test_an_unsound_one_does_not_replace_a_good_one(trouble: str, asked: bool) -> None:
    """Kept, told why, and it ages although its list is confirmed; a good one ends it, a new content too."""

    def told(says: Content) -> Told:
        return directly("a", says) if asked else listing("a", "b", a=says)

    account = Account()
    account.pass_(told(content(1)))
    for n in range(1, 4):
        verdict = account.pass_(told(content(2, trouble=trouble)))
        assert account.text(asst("a")) == {"v": 1}
        assert account.age(asst("a")) == n * INTERVAL
        assert account.trouble(asst("a")) == "unsound"
        assert trouble in account.ledger.troubles[asst("a")].detail
        assert all(isinstance(change, Put) and change.why == "moved" for change in verdict.changes)
    account.pass_(told(content(3)))
    assert account.text(asst("a")) == {"v": 3}
    assert account.age(asst("a")) == 0
    assert account.trouble(asst("a")) is None


def test_an_unsound_one_is_shown_where_there_is_no_good_one() -> None:
    """Clients show the error then; another unsound one replaces it, and so does a good one."""
    account = Account()
    account.pass_(listing("a", a=content(1, trouble="no config")))
    assert account.text(asst("a")) == {"v": 1}
    account.pass_(listing("a", a=content(2, trouble="a fatal error")))
    assert account.text(asst("a")) == {"v": 2}
    account.pass_(listing("a", a=content(3)))
    account.pass_(listing("a", a=content(4, trouble="no config")))
    assert account.text(asst("a")) == {"v": 3}


strict: dict[str, object] = {"telemetry": False, "mcp": False, "other": True}
looser_policies: list[dict[str, object] | None] = [
    None,
    {},
    {"telemetry": False, "other": True},
    {"telemetry": False, "mcp": True, "other": True},
    {"telemetry": False, "mcp": None, "other": True},
    {"telemetry": False, "mcp": "sometimes", "other": True},
]


@pytest.mark.parametrize("value", looser_policies)
def test_a_looser_policy_is_believed_a_full_interval_later(value: dict[str, object] | None) -> None:
    """Null, a key removed, set true or to something else: the stricter is served until it has been said that long."""
    account = Account()
    account.pass_(policy(strict))
    account.pass_(policy(value))
    assert account.text(Policy())["policy"] == strict
    assert account.trouble(Policy()) == "looser"
    account.pass_(policy(value), after=INTERVAL - 1)
    assert account.text(Policy())["policy"] == strict
    account.pass_(policy(value), after=1)
    assert account.text(Policy())["policy"] == value
    assert account.trouble(Policy()) is None
    assert account.age(Policy()) == 0


def test_a_looser_policy_has_to_be_said_the_same_all_the_time() -> None:
    """The stricter one in between, or another looser one, begins the waiting anew; an outage does not end it."""
    account = Account()
    account.pass_(policy(strict))
    for _ in range(3):
        account.pass_(policy(None))
        account.pass_(policy(strict))
        assert account.text(Policy())["policy"] == strict
    account.pass_(policy(None))
    account.pass_(policy({}))
    assert account.text(Policy())["policy"] == strict
    account.pass_((ops.GetPolicy(), Malformed("HTML")))
    assert account.text(Policy())["policy"] == strict
    account.pass_(policy({}))
    assert account.text(Policy())["policy"] == {}


def test_what_is_stricter_counts_at_once_and_what_is_looser_waits() -> None:
    """Both in one answer: both restrictions are served; later the Hub's own."""
    account = Account()
    account.pass_(policy({"telemetry": False, "mcp": True}))
    mixed: dict[str, object] = {"telemetry": True, "mcp": False}
    account.pass_(policy(mixed))
    assert account.text(Policy()) == {"policy": {"telemetry": False, "mcp": False}, "orgSlug": "acme"}
    account.pass_(policy(mixed))
    assert account.text(Policy())["policy"] == mixed
    account.pass_(policy({"telemetry": False, "mcp": False}))
    assert account.text(Policy())["policy"] == {"telemetry": False, "mcp": False}, "stricter: at once"


def test_a_looser_policy_is_not_believed_while_organizations_are_held() -> None:
    """A lost organization takes its policy with it: that is the same event, and waits for the same person."""
    account = Account()
    account.pass_(orgs("acme", "init"), policy(strict))
    for _ in range(20):
        account.pass_(policy(None), orgs("acme"), after=86400)
    assert account.text(Policy())["policy"] == strict
    account.accept(Organizations())
    account.pass_(policy(None), orgs("acme"))
    assert account.text(Policy())["policy"] is None


def test_a_clock_set_back_does_not_hasten_or_end_the_waiting() -> None:
    """The interval begins anew at the earlier time."""
    account = Account()
    account.pass_(policy(strict))
    account.pass_(policy(None))
    account.pass_(policy(None), after=-86400 * 400)
    assert account.text(Policy())["policy"] == strict
    account.pass_(policy(None))
    assert account.text(Policy())["policy"] is None


no = Refused(401, "Unauthorized")
all_401: tuple[Told, ...] = ((ops.ListAssistants(None), no), (ops.GetPolicy(), no), (ops.ListOrganizations(), no))


def test_two_passes_of_401_ten_minutes_apart_lock() -> None:
    """Not before; what is kept stays, and the lock does too while they go on."""
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
    """Blocks are given to anybody: their answers say nothing of the account."""
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
    """The key was taken: a single 401 pass after it is the first again."""
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
    """One operation can have a reason of its own."""
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
    """`hublet lock` is ended by a person."""
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


@pytest.mark.parametrize("refusal", [Refused(404, "Assistant not found"), Refused(403, "not allowed")])
@pytest.mark.parametrize("other", [policy({}), (ops.GetPolicy(), NotModified())])
def test_one_that_is_refused_while_others_are_answered_is_withdrawn_after_two_passes(
    refusal: Refused, other: Told
) -> None:
    """With the Hub's own status and message."""
    account = Account()
    account.pass_(directly("a", content()), policy({}))
    told = (ops.GetAssistant(None, False, slug("a")), refusal)
    account.pass_(told, other)
    assert account.withdrawn(asst("a")) is None
    assert account.age(asst("a")) == INTERVAL
    account.pass_(told, other)
    assert account.withdrawn(asst("a")) == (refusal.status, refusal.message)
    assert account.age(asst("a")) == 0


def test_an_answer_between_two_refusals_begins_the_count_anew() -> None:
    """Weeks apart, two refusals are not two passes that say so."""
    account = Account()
    account.pass_(directly("a", content()), policy({}), block())
    gone = Refused(404, "Assistant not found")
    for _ in range(4):
        account.pass_(
            (ops.GetAssistant(None, False, slug("a")), gone), (ops.GetBlock(slug("b"), "latest"), gone), policy({})
        )
        account.pass_(directly("a", content()), block(), policy({}))
    assert account.withdrawn(asst("a")) is None
    assert account.withdrawn(q.Block(slug("b"), "latest")) is None


def test_a_refusal_where_only_public_packages_are_answered_withdraws_nothing() -> None:
    """The account's part of the Hub may be gone while the registry still stands."""
    account = Account()
    account.pass_(directly("a", content()), policy({}), block())
    for _ in range(5):
        account.pass_((ops.GetAssistant(None, False, slug("a")), Refused(404, "Assistant not found")), block())
    assert account.withdrawn(asst("a")) is None


def test_what_was_never_known_is_answered_as_the_hub_does() -> None:
    """A tombstone at once; the account's own troubles make none."""
    account = Account()
    account.pass_((ops.GetAssistant(None, False, slug("x")), Refused(403, "not allowed")), policy({}), whole=False)
    assert account.withdrawn(asst("x")) == (403, "not allowed")
    assert (
        account.pass_((ops.GetAssistant(None, False, slug("x")), Refused(403, "not allowed")), whole=False).changes
        == ()
    )
    account.pass_((ops.GetAssistant(None, False, slug("x")), Refused(404, "Assistant not found")), whole=False)
    assert account.withdrawn(asst("x")) == (404, "Assistant not found")
    for message in ("User not found", "Organization not found"):
        account.pass_((ops.GetAssistant(None, False, slug("y")), Refused(404, message)), policy({}), whole=False)
    account.pass_((ops.GetAssistant(None, False, slug("y")), Refused(401, "Unauthorized")), policy({}), whole=False)
    assert asst("y") not in account.state.records
    account.pass_(directly("x", content()))
    assert account.text(asst("x")) == {"v": 1}


def test_one_asked_for_directly_is_not_withdrawn_for_absence() -> None:
    """`default-cli-config` is in no list: lists say nothing of it."""
    account = Account()
    account.pass_(listing("a", "b"), directly("default", content()))
    for _ in range(5):
        account.pass_(listing("b"))
    assert account.text(asst("default")) == {"v": 1}
    assert account.names() == ["b"]


def test_a_direct_answer_does_not_put_off_what_the_list_says() -> None:
    """A client that asks for it in between can't keep one in a list that no longer names it."""
    account = Account()
    account.pass_(listing("a", "b"))
    account.pass_(listing("b"))
    account.pass_(directly("a", content()), whole=False, after=10)
    account.pass_(listing("b"))
    assert account.names() == ["b"]


def test_a_listed_one_asked_for_directly_is_confirmed_without_a_write() -> None:
    """The Hub has just said it: its age begins anew, no record is written, and it stays its list's."""
    account = Account()
    account.pass_(listing("a", "b"))
    verdict = account.pass_(directly("a", content()), whole=False)
    assert verdict.changes == ()
    assert account.age(asst("a")) == 0
    assert account.age(asst("b")) == INTERVAL
    account.pass_(directly("a", content(2)), whole=False)
    assert account.text(asst("a")) == {"v": 2}
    account.pass_(listing("a", "b", a=content(2)))
    account.pass_((ops.ListAssistants(None), Unreachable("down")))
    assert account.age(asst("a")) == INTERVAL


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
    """For the backoff: any word of the Hub ends the row, also a refusal; a partial asking counts for nothing."""
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


def icon_fact(url: str) -> Fact:
    return Fact(Icon(url), Content(Template(b"\x89PNG"), {}, {"type": "image/png"}))


def test_icons_are_dropped_only_after_a_pass_that_saw_everything() -> None:
    """One that nothing shows any more; never while some part was not answered."""
    account = Account()
    account.pass_(listing("a", a=content(icon="i1")), policy({}), icons=(icon_fact("i1"),))
    changed = listing("a", a=content(icon="i2"))
    account.pass_(changed, (ops.GetPolicy(), Unreachable("down")))
    account.pass_(changed, policy({}), whole=False)
    account.pass_(changed, (ops.GetPolicy(), Refused(404, "User not found")))
    assert Icon("i1") in account.state.records
    verdict = account.pass_(changed, policy({}), icons=(icon_fact("i2"),))
    assert set(account.state.records) & {Icon("i1"), Icon("i2")} == {Icon("i2")}
    assert Drop(Icon("i1")) in verdict.changes
    assert account.pass_(changed, policy({})).changes == ()


def test_an_icon_of_a_kept_one_is_kept() -> None:
    """What is held or missing is still shown, with its icon."""
    account = Account()
    account.pass_(listing("a", "b", a=content(icon="i1")), icons=(icon_fact("i1"),))
    account.pass_(listing())
    assert Icon("i1") in account.state.records


def test_secrets_that_failed_are_noted_only_if_they_are_kept() -> None:
    """A client's own words must not fill the ledger."""
    account = Account()
    fqsn = q.Fqsn((), "N")
    operation = ops.SyncSecrets.of(None, (fqsn, q.Fqsn((), "OTHER")))
    account.pass_((operation, Unreachable("down")), whole=False)
    assert account.ledger.troubles == {}
    account.pass_((operation, Answered((Fact(q.Secret(None, fqsn), content()),))), whole=False)
    account.pass_((operation, Unreachable("down")), whole=False)
    assert set(account.ledger.troubles) == {q.Secret(None, fqsn)}


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
    """The new order is the Hub's; what it does not name keeps its neighbour."""

    def of(text: str) -> tuple[Slug, ...]:
        return tuple(map(slug, text))

    assert merged(of(old), of(new), frozenset(of(keep))) == of(result)


@pytest.mark.parametrize(
    ("value", "keys"),
    [(None, set()), ({}, set()), ({"a": True}, set()), ({"a": False, "b": None, "c": 0, "d": True}, {"a", "b", "c"})],
)
def test_every_key_that_is_not_plainly_true_restricts(value: dict[str, object] | None, keys: set[str]) -> None:
    """An unknown word is taken for a restriction."""
    assert set(restrictions(value)) == keys


# Any row of passes

names_ = st.sampled_from("abcdef")
says = st.builds(
    content,
    st.integers(1, 3),
    trouble=st.sampled_from([None, None, None, "no config"]),
    icon=st.sampled_from([None, "i1", "i2"]),
)
scopes_ = st.sampled_from([PERSONAL, "acme", "init"])
failures = st.sampled_from([*bad, Refused(404, "Assistant not found"), Refused(403, "no"), NotModified()])


def _listing(scope: Scope, members_: dict[str, Content]) -> Told:
    return listing(*members_, scope=scope, **members_)


answers: st.SearchStrategy[Told] = st.one_of(
    st.builds(_listing, scopes_, st.dictionaries(names_, says, max_size=6)),
    st.builds(directly, names_, says, scopes_),
    st.lists(st.sampled_from(["acme", "init"]), unique=True).map(lambda ids: orgs(*ids)),
    st.builds(policy, st.none() | st.dictionaries(st.sampled_from("xyz"), st.sampled_from([True, False, None, 1]))),
    st.builds(trial),
    st.builds(block, st.integers(1, 3)),
)
told_: st.SearchStrategy[Told] = st.one_of(answers, answers, st.tuples(answers.map(lambda told: told[0]), failures))
passes = st.lists(
    st.tuples(
        st.lists(told_, max_size=6, unique_by=lambda told: told[0]),
        st.sampled_from([0.0, 1.0, 300.0, INTERVAL, INTERVAL, 86400.0, -3600.0]),
        st.booleans(),
    ),
    max_size=12,
)


def checks(before: State, account: Account, told: list[Told]) -> Iterator[Callable[[], bool]]:
    """What no pass may ever do, one by one."""
    after = account.state
    answered = {operation for operation, outcome in told if isinstance(outcome, Answered | NotModified)}
    for question, old in before.records.items():
        new = after.records.get(question)
        if isinstance(question, Assistant) and isinstance(old, Record) and "trouble" not in old.content.traits:
            yield (
                lambda new=new: (
                    isinstance(new, Withdrawn) or (isinstance(new, Record) and "trouble" not in new.content.traits)
                )
            )
            if isinstance(new, Withdrawn):
                said_before = question in before.ledger.absent
                yield lambda said_before=said_before: said_before
        if new != old and isinstance(old, Record) and not isinstance(question, Icon):
            yield lambda: bool(answered)
        if new is None:
            yield lambda question=question: isinstance(question, Icon)
    for scope in (PERSONAL, "acme", "init"):
        old_members = members(before.records.get(Roster(scope, False)))
        alive = [s for s in old_members if isinstance(before.records.get(Assistant(scope, False, s)), Record)]
        refused = {operation for operation, outcome in told if isinstance(outcome, Refused)}
        if alive and not any(isinstance(operation, ops.GetAssistant) for operation in refused):
            yield lambda scope=scope: bool(members(after.records.get(Roster(scope, False))))
    ids = {id_ for id_, _, _ in organizations(before.records.get(Organizations()))}
    yield lambda: ids <= {id_ for id_, _, _ in organizations(after.records.get(Organizations()))}


@settings(max_examples=300, deadline=None)
@given(passes)
def test_no_row_of_passes_loses_or_weakens_anything_against_the_rules(
    rows: list[tuple[list[Told], float, bool]],
) -> None:
    """Nothing unsound over sound, nothing withdrawn at first word, nothing changed without an answer, no organization
    and no whole scope lost without a person, no time of ours in the future."""
    account = Account()
    latest = START
    for told, after, whole in rows:
        before = account.state
        account.pass_(*told, after=after, whole=whole)
        latest = max(latest, account.now)
        for check in checks(before, account, told):
            assert check()
        assert all(at <= latest for at in account.ledger.confirmed.values())
        assert all(at <= latest for at in account.ledger.absent.values())
        for question in account.state.records:
            at = confirmed_at(account.state, question)
            assert at is not None
            assert at <= latest


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.dictionaries(st.sampled_from("xyz"), st.sampled_from([True, False, None]), max_size=3),
            st.floats(1, 2 * INTERVAL),
            st.sampled_from([(), ("acme",), ("acme", "init")]),
        ),
        max_size=12,
    )
)
def test_a_policy_is_never_weaker_than_what_was_said_within_the_interval(
    rows: list[tuple[dict[str, object] | None, float, tuple[str, ...]]],
) -> None:
    """A restriction ends only when the Hub has said the same text without it for a full interval, by passes in a row,
    and no organization is missing."""
    account = Account()
    account.pass_(orgs("acme", "init"), policy({"x": False}))
    said: list[tuple[float, dict[str, object] | None]] = []
    for value, after, ids in rows:
        before = restrictions(account.text(Policy())["policy"])
        account.pass_(policy(value), orgs(*ids), after=after)
        said.append((account.now, value))
        served = restrictions(account.text(Policy())["policy"])
        for key, word in restrictions(value).items():
            if key not in before:
                assert served[key] == word, "what is stricter counts at once"
        lost = {key for key, word in before.items() if served.get(key) != word}
        if lost:
            row = [at for at, earlier in said if earlier == value]
            first = account.now
            for at, earlier in reversed(said):
                if earlier != value:
                    break
                first = at
            assert row
            assert account.now - first >= INTERVAL
            assert Organizations() not in account.ledger.held
