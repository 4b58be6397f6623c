"""How a cache answers for secrets: in order, in the scope that is meant, and never with an error for all of them."""

from __future__ import annotations

import orjson
import pytest
from tests.core.cached import NONE, PIN, START, WEEK, Cache, answer, sync, told, value

from hublet.core import operations as ops
from hublet.core import questions as q
from hublet.core.ledger import Lock
from hublet.core.snapshot import Unknown
from hublet.demo.data import ACME, USER_SECRETS


@pytest.fixture
def cache() -> Cache:
    return told()


def test_secrets_are_answered_in_order_with_their_names_echoed(cache: Cache) -> None:
    """Number, order and duplicates are kept. What can't be read is answered as not found, with its own words."""
    cache.ask(sync(PIN, NONE))
    asked = (*sync(NONE, PIN, PIN).asked, '{"odd":[1]}')
    found = value(answer(cache.snapshot, ops.SyncSecrets(None, None, asked)))
    assert [orjson.loads(text) for text in asked] == [each["fqsn"] for each in found]
    assert [each["found"] for each in found] == [False, True, True, False]
    assert found[1]["value"] == USER_SECRETS["PIN"]
    assert found[1]["secretLocation"] == {"secretType": "user", "userSlug": "dana", "secretName": "PIN"}
    assert found[3]["secretLocation"] == {"secretType": "not_found", "secretName": ""}


def test_only_what_is_missing_is_to_be_asked_and_once(cache: Cache) -> None:
    """In the scope that the client meant, and without duplicates."""
    cache.ask(sync(PIN))
    assert cache.snapshot is not None
    unknown = cache.snapshot.answer(sync(NONE, PIN, NONE), clear=True)
    assert unknown == Unknown(ops.SyncSecrets(None, None, sync(NONE).asked))
    offline = value(cache.snapshot.secrets(sync(NONE, PIN, NONE), clear=True))
    assert [each["found"] for each in offline] == [False, True, False]


@pytest.mark.parametrize("how", ["locked", "not clear", "expired"])
def test_withheld_values_are_not_found_and_never_an_error(cache: Cache, how: str) -> None:
    """So clients look into their own `.env` files. The locations of secrets of others are still told."""
    there = q.Fqsn((), "ACME_JIRA_TOKEN")
    cache.ask(sync(PIN, there, scope=ACME))
    if how == "expired":
        cache.now += WEEK
    snapshot = cache.publish(lock=Lock("refused", START) if how == "locked" else None)
    found = answer(snapshot, sync(PIN, there, scope=ACME), clear=how != "not clear")
    assert found.withheld
    mine, theirs = value(found)
    assert mine == {
        "found": False,
        "fqsn": PIN.to_wire(),
        "secretLocation": {"secretType": "not_found", "secretName": "PIN"},
    }
    assert theirs["secretLocation"]["secretType"] == "organization"


def test_a_users_value_answers_other_paths_of_its_name_in_its_scope_only(cache: Cache) -> None:
    """This is for when the Hub can't be asked. A secret of the user depends on its name alone, unless a package on its
    path has that name."""
    cache.ask(sync(PIN))
    assert cache.snapshot is not None
    other = q.Fqsn((q.Slug("x", "y"),), "PIN")
    assert value(cache.snapshot.secrets(sync(other), clear=True))[0]["value"] == USER_SECRETS["PIN"]
    assert value(cache.snapshot.secrets(sync(other), clear=True))[0]["fqsn"] == other.to_wire()
    assert value(cache.snapshot.secrets(sync(other, scope=ACME), clear=True))[0]["found"] is False
    house = q.Fqsn((q.Slug("", ""), q.Slug("acme", "house-model")), "HOUSE_KEY")
    cache.hub.set_secret("HOUSE_KEY", "canary-of-mine")
    cache.ask(sync(house, scope=ACME), sync(q.Fqsn((), "HOUSE_KEY")))
    assert cache.snapshot is not None
    assert value(cache.snapshot.secrets(sync(house), clear=True))[0]["found"] is False


def test_an_organizations_slug_is_resolved_and_its_id_wins(cache: Cache) -> None:
    """Clients send one of them, or both."""
    snapshot = cache.snapshot
    assert snapshot is not None
    assert snapshot.scope_of(sync(slug="acme")) == ACME
    assert snapshot.scope_of(sync(scope="org_initech", slug="acme")) == "org_initech"
    assert snapshot.scope_of(sync(slug="unheard-of")) == "unheard-of"
    assert snapshot.scope_of(sync()) is None
    cache.ask(sync(PIN, scope=ACME))
    assert value(answer(cache.snapshot, sync(PIN, slug="acme")))[0]["found"] is True
    unknown = snapshot.answer(sync(NONE, slug="acme"), clear=True)
    assert isinstance(unknown, Unknown)
    assert unknown.ask == ops.SyncSecrets(ACME, None, sync(NONE).asked)
