"""One answer as it is judged: what replaces what, assistants, the policy, secrets, icons."""

from __future__ import annotations

import pytest
from tests.core.judged import (
    INTERVAL,
    START,
    Account,
    Told,
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
from hublet.core.outcomes import Answered, Malformed, NotModified, Outcome, Refused, Unreachable
from hublet.core.policy import restrictions
from hublet.core.questions import Icon, Organizations, Policy, Roster
from hublet.core.records import Content, Fact, Template
from hublet.core.state import Drop, Put


def test_what_the_hub_says_is_kept_and_replaces_what_was_kept() -> None:
    """A valid 200 adds a record, and then changes it. What is the same is no change."""
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


operations_ = [ops.ListAssistants(None), ops.ListAssistants("org"), ops.ListOrganizations(), ops.GetPolicy()]


@pytest.mark.parametrize("outcome", bad)
@pytest.mark.parametrize(
    "operation", [*operations_, ops.GetAssistant(None, False, slug("x")), ops.GetBlock(slug("b"), "latest")]
)
def test_what_only_looks_like_an_answer_changes_nothing(operation: ops.Operation, outcome: Outcome) -> None:
    """With HTML, timeouts and refusals of the account everything is kept and ages, with what went wrong and since
    when."""
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


@pytest.mark.parametrize("trouble", ["a fatal error", "no config", "loading was interrupted"])
@pytest.mark.parametrize("asked", [True, False], ids=["directly", "in the list"])
def test_an_unsound_one_does_not_replace_a_good_one(trouble: str, asked: bool) -> None:
    """The good one is kept with the reason, and ages although its list is confirmed, until a good one comes, also a
    changed one."""

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
    """Whether it is null, or a key is removed, set to true or to something else: the stricter one is served until
    then."""
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
    """If the Hub says the stricter one in between, or another looser one, the waiting begins anew. An outage does not
    end it."""
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
    """If one answer has both, the restrictions of both policies are served, and later the Hub's own policy."""
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


@pytest.mark.parametrize("refusal", [Refused(404, "Assistant not found"), Refused(403, "not allowed")])
@pytest.mark.parametrize("other", [policy({}), (ops.GetPolicy(), NotModified())])
def test_one_that_is_refused_while_others_are_answered_is_withdrawn_after_two_passes(
    refusal: Refused, other: Told
) -> None:
    """It is then answered with the Hub's own status and message."""
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
    """Two refusals with answers between them, perhaps for weeks, don't count as two passes that say the same."""
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
    """There is a tombstone at once; troubles of the account make none."""
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
    """When a list no longer names an assistant, a client that asks for it can't keep it in the list."""
    account = Account()
    account.pass_(listing("a", "b"))
    account.pass_(listing("b"))
    account.pass_(directly("a", content()), whole=False, after=10)
    account.pass_(listing("b"))
    assert account.names() == ["b"]


def test_a_listed_one_asked_for_directly_is_confirmed_without_a_write() -> None:
    """Its age begins anew, no record is written, and its source stays the list."""
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


def icon_fact(url: str) -> Fact:
    return Fact(Icon(url), Content(Template(b"\x89PNG"), {}, {"type": "image/png"}))


def test_icons_are_dropped_only_after_a_pass_that_saw_everything() -> None:
    """Only icons that nothing shows any more, and none while some part of the pass was not answered."""
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
    """Otherwise names that clients make up would fill the ledger."""
    account = Account()
    fqsn = q.Fqsn((), "N")
    operation = ops.SyncSecrets.of(None, (fqsn, q.Fqsn((), "OTHER")))
    account.pass_((operation, Unreachable("down")), whole=False)
    assert account.ledger.troubles == {}
    account.pass_((operation, Answered((Fact(q.Secret(None, fqsn), content()),))), whole=False)
    account.pass_((operation, Unreachable("down")), whole=False)
    assert set(account.ledger.troubles) == {q.Secret(None, fqsn)}


@pytest.mark.parametrize(
    ("value", "keys"),
    [(None, set()), ({}, set()), ({"a": True}, set()), ({"a": False, "b": None, "c": 0, "d": True}, {"a", "b", "c"})],
)
def test_every_key_that_is_not_plainly_true_restricts(value: dict[str, object] | None, keys: set[str]) -> None:
    """An unknown word is taken for a restriction."""
    assert set(restrictions(value)) == keys
