"""What a person keeps, what a second pass has to say, and what is forgotten because clients made it up."""

from __future__ import annotations

import orjson
import pytest
from tests.core.judged import INTERVAL, START, Account, Told, asst, content, directly, listing, many, orgs, policy, slug

from hublet.core import operations as ops
from hublet.core.bounds import MOST_NEVER_SERVED, MOST_NOT_FOUND
from hublet.core.outcomes import Answered, Refused, Unreachable
from hublet.core.quarantine import reject
from hublet.core.questions import Assistant, Everything, Fqsn, Organizations, Roster, Secret, Slug
from hublet.core.records import Content, Fact, Hole, Record, Template, Withdrawn, decode_known, encode_known
from hublet.core.secretstr import SecretStr
from hublet.core.state import organizations

ROSTER = Roster(None, False)
KEY = Fqsn((), "KEY")
NOT_FOUND = Refused(404, "Assistant not found")


def found(value: str | None, kind: str = "user") -> Content:
    text = orjson.dumps({"found": True, "secretLocation": {"secretType": kind}, "value": ""})
    if value is None:
        return Content(Template(text))
    return Content(Template(text, (Hole(len(text) - 2, "secret", "KEY"),)), {"KEY": SecretStr(value)})


NULL = Content(Template(b"null"))
UNKNOWN = Content(Template(b'{"found":false,"secretLocation":{"secretType":"not_found","secretName":"KEY"}}'))


def secret(says: Content, name: Fqsn = KEY) -> Told:
    return ops.SyncSecrets.of(None, (name,)), Answered((Fact(Secret(None, name), says),))


def kept(account: Account) -> Content:
    known = account.state.records[Secret(None, KEY)]
    assert isinstance(known, Record)
    return known.content


@pytest.mark.parametrize("says", [NULL, UNKNOWN, found(None)], ids=["null", "not found", "without its value"])
@pytest.mark.parametrize("good", [found("v1"), found(None, "organization")], ids=["with a value", "a place"])
def test_a_secret_is_taken_away_by_a_second_pass_only(says: Content, good: Content) -> None:
    """Until then it is kept and ages, and the trouble is told. What clients ask in between is no pass; a good answer
    begins anew."""
    if says == found(None) and not good.bindings:
        return  # found, but elsewhere: that is news, not a loss
    account = Account()
    account.pass_(secret(good))
    for _ in range(3):
        account.pass_(secret(says))
        account.pass_(secret(says), whole=False, after=60)
        account.pass_(secret(says), whole=False, after=60)
        assert kept(account) == good
        assert account.trouble(Secret(None, KEY)) == "missing"
        assert account.age(Secret(None, KEY)) == INTERVAL + 120
        account.pass_(secret(good))
        assert account.trouble(Secret(None, KEY)) is None
    account.pass_(secret(says))
    account.pass_(secret(says))
    assert kept(account) == says
    assert account.trouble(Secret(None, KEY)) is None


@pytest.mark.parametrize("says", [found("v2"), found(None, "organization"), found("v2", "package")])
def test_a_secret_that_is_another_or_elsewhere_is_believed_at_once(says: Content) -> None:
    """A rotated value must not wait, nor a secret that an organization has now."""
    account = Account()
    account.pass_(secret(found("v1")))
    account.pass_(secret(says))
    assert kept(account) == says


def all_refused(*more: Refused) -> tuple[Told, ...]:
    operations = (ops.ListAssistants(None), ops.ListOrganizations(), ops.GetPolicy())
    refusals = (NOT_FOUND, Refused(401, "Unauthorized"), *more, NOT_FOUND)
    return tuple(zip(operations, refusals, strict=False))


def refused_account() -> Account:
    account = Account()
    account.pass_(listing(*many(10)), orgs("acme"), policy({}))
    account.pass_(*all_refused())
    return account


def test_an_account_that_is_refused_everything_waits_until_the_hub_answers_again() -> None:
    """Neither time nor an outage ends it; any answer does, also one to a client."""
    account = refused_account()
    for _ in range(20):
        account.pass_(*all_refused(), after=86400)
        account.pass_((ops.ListAssistants(None), Unreachable("down")), (ops.GetPolicy(), Unreachable("down")))
        assert account.ledger.held[Everything()].since == START + 2 * INTERVAL
    assert account.ledger.held[Everything()].gone == ("404 Assistant not found", "401 Unauthorized")
    account.pass_(policy({}), whole=False)
    assert account.ledger.held == {}
    assert account.trouble(Everything()) is None


def test_nothing_is_held_of_an_account_of_which_nothing_is_kept() -> None:
    """The Hub answers a new account 404 for a while."""
    account = Account()
    account.pass_(*all_refused())
    assert account.ledger.held == {}


def test_a_person_may_agree_that_the_account_is_gone() -> None:
    """Then all of it is dropped, and nothing is held any more."""
    account = refused_account()
    account.accept(Everything())
    assert account.state.records == {}
    account.pass_(*all_refused())
    assert account.ledger.held == {}


def turned_down(account: Account, question: Roster | Organizations | Everything) -> None:
    account.settle(reject(account.state, question))
    assert question not in account.ledger.waiting
    assert account.trouble(question) is None


def test_what_is_rejected_is_kept_and_asked_again_only_when_it_is_something_else() -> None:
    """The same, or a part of it, is not held again, however much time passes. If something else is missing, it is."""
    account = Account()
    account.pass_(listing(*many(10)))
    account.pass_(listing(*many(6)))
    turned_down(account, ROSTER)
    for _ in range(20):
        account.pass_(listing(*many(6)), after=86400)
        assert not account.ledger.waiting
        assert account.names() == many(10)
    for _ in range(20):
        account.pass_(listing(*many(9)), after=86400)
        assert not account.ledger.waiting
        assert account.names() == many(10), "also when few have become of them"
    account.pass_(listing(*many(5)))
    assert account.ledger.waiting[ROSTER].since == account.now
    account.accept(ROSTER)
    assert account.names() == many(5)
    with pytest.raises(KeyError):
        reject(account.state, ROSTER)


def test_a_rejected_refusal_of_everything_is_told_again_when_the_hub_words_it_otherwise() -> None:
    """Or when it has answered in between."""
    account = refused_account()
    turned_down(account, Everything())
    account.pass_(*all_refused())
    assert not account.ledger.waiting
    account.pass_(*all_refused(Refused(410, "Gone")))
    assert Everything() in account.ledger.waiting
    turned_down(account, Everything())
    account.pass_(policy({}))
    account.pass_(*all_refused())
    assert Everything() in account.ledger.waiting


def test_what_is_new_is_taken_while_a_lost_organization_is_kept() -> None:
    """It takes its place in the list, with its icon, whether the loss was rejected or not."""
    account = Account()
    account.pass_(orgs("acme", "init"))
    account.pass_(orgs("acme", "new"))
    turned_down(account, Organizations())
    account.pass_(orgs("acme", "new", "other"))
    listed = [id_ for id_, _, _ in organizations(account.state.records[Organizations()])]
    assert listed == ["acme", "init", "new", "other"]
    assert not account.ledger.waiting


def test_an_accepted_loss_leaves_the_other_organizations_with_their_icons_and_their_age() -> None:
    """Nothing is asked of the Hub for that. A name that looks like our mark for an icon stays a name."""
    icon = "https://icons.example/a.png"
    value = {
        "organizations": [
            {"id": "a", "name": "A @@ @0;", "slug": "a", "iconUrl": ""},
            {"id": "b", "name": "B", "slug": "b", "iconUrl": None},
        ]
    }
    text = orjson.dumps(value)
    hole = Hole(text.index(b'"iconUrl":"') + len(b'"iconUrl":"'), "icon", icon)
    account = Account()
    told = (ops.ListOrganizations(), Answered((Fact(Organizations(), Content(Template(text, (hole,)))),)))
    account.pass_(told)
    account.pass_(orgs("a"))
    account.accept(Organizations())
    known = account.state.records[Organizations()]
    assert isinstance(known, Record)
    assert [id_ for id_, _, _ in organizations(known)] == ["a"]
    assert account.age(Organizations()) == INTERVAL


def renamed(before: str, after: str, names: list[str]) -> tuple[Told, Told]:
    value = {"organizations": [{"id": "org", "name": "O", "slug": after}]}
    facts = [Fact(Assistant("org", False, Slug(after, name)), content()) for name in names]
    roster = Content(Template(orjson.dumps([[after, name] for name in names])))
    return (
        (ops.ListOrganizations(), Answered((Fact(Organizations(), Content(Template(orjson.dumps(value)))),))),
        (ops.ListAssistants("org"), Answered((*facts, Fact(Roster("org", False), roster)))),
    )


def test_assistants_of_a_renamed_organization_are_there_under_their_new_names() -> None:
    """The lists of organizations and of assistants say so in one pass. One that is not there under the new name is
    missing like any other."""
    account = Account()
    account.pass_(*renamed("", "old", many(10)))
    account.pass_(*renamed("old", "new", many(10)[1:]))
    assert account.withdrawn(Assistant("org", False, Slug("old", "a01"))) == (404, "Assistant not found")
    assert isinstance(account.state.records[Assistant("org", False, Slug("old", "a00"))], Record)
    assert account.ledger.held == {}


def test_refusals_of_made_up_names_are_forgotten_from_the_oldest() -> None:
    """But not the tombstone of an assistant that was served once, however many refusals come after it."""
    account = Account()
    account.pass_(directly("real", content()), policy({}))
    for _ in range(2):
        account.pass_((ops.GetAssistant(None, False, slug("real")), NOT_FOUND), policy({}))
    for number in range(MOST_NEVER_SERVED + 20):
        account.pass_((ops.GetAssistant(None, False, slug(f"made-up{number}")), NOT_FOUND), whole=False, after=1)
        account.pass_((ops.GetBlock(slug(f"m{number}"), "1"), Unreachable("down")), whole=False, after=1)
        account.pass_((ops.ListAssistants(f"org{number}"), Refused(404, "Organization not found")), whole=False)
    tombstones = [question for question, known in account.state.records.items() if isinstance(known, Withdrawn)]
    assert len(tombstones) == MOST_NEVER_SERVED + 1
    assert asst("real") in tombstones
    assert asst("made-up19") not in tombstones
    assert asst("made-up20") in tombstones
    assert len(account.ledger.confirmed) <= len(account.state.records) + 1
    assert account.ledger.troubles == {}


def test_made_up_secrets_are_forgotten_from_the_oldest_and_found_ones_never() -> None:
    """A pass goes on with those that are left."""
    account = Account()
    account.pass_(secret(found("v1")))
    names = [Fqsn((), f"MADE_UP_{number}") for number in range(MOST_NOT_FOUND + 20)]
    for name in names:
        account.pass_(secret(UNKNOWN, name), whole=False, after=1)
    known = {question.fqsn for question in account.state.records if isinstance(question, Secret)}
    assert known == {KEY, *names[20:]}


@pytest.mark.parametrize("served", [True, False])
def test_a_tombstone_says_for_ever_whether_there_was_anything(served: bool) -> None:
    """Also after it was read from disk. A tombstone of an older version, which does not say it, counts as served."""
    tombstone = Withdrawn(404, "no", 5.0, served)
    text = encode_known(asst("a"), tombstone)
    assert decode_known("assistant", text) == (asst("a"), tombstone)
    old = text.replace(b",true]", b"]").replace(b",false]", b"]")
    old = (len(old) - 4).to_bytes(4, "big") + old[4:]
    assert decode_known("assistant", old) == (asst("a"), Withdrawn(404, "no", 5.0, True))
