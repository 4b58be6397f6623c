"""The answers at one moment: stable bytes, true ages, and no secret value for a reader who may not see it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.cached import (
    CANARIES,
    DAY,
    INTERVAL,
    LISTS,
    NIGHT_OWL,
    PIN,
    START,
    TERMS,
    WEEK,
    Cache,
    answer,
    sync,
    told,
    value,
)

from hublet.core import operations as ops
from hublet.core import questions as q
from hublet.core.judgement import judge
from hublet.core.ledger import Ledger, Lock
from hublet.core.outcomes import Answered, PassReport, Unreachable
from hublet.core.records import Content, Fact, Hole, Template
from hublet.core.secretstr import SecretStr
from hublet.core.snapshot import Snapshot, Unknown
from hublet.core.state import State, apply
from hublet.demo.data import ACME, DEMO_KEY


@pytest.fixture
def cache() -> Cache:
    return told()


def test_a_list_is_what_the_hub_said_but_for_its_icons(cache: Cache) -> None:
    """It has the same members in the same order, and every field. Only the addresses of icons are ours."""
    call = ops.write(ops.ListAssistants(None))
    said: Any = cache.hub.respond(call.method, call.target, {"authorization": f"Bearer {DEMO_KEY}"}).json()
    listed = value(answer(cache.snapshot, ops.ListAssistants(None)))
    for item, mine in zip(said, listed, strict=True):
        assert (item["iconUrl"] is None) == (mine["iconUrl"] is None)
        assert mine["iconUrl"] is None or mine["iconUrl"].startswith("http://localhost:3001/icons/")
        assert item | {"iconUrl": None} == mine | {"iconUrl": None}


def test_each_member_of_a_list_is_answered_by_itself_too(cache: Cache) -> None:
    """The same bytes: a list is the join of its members."""
    whole = answer(cache.snapshot, ops.ListAssistants(None)).body
    one = answer(cache.snapshot, ops.GetAssistant(None, False, NIGHT_OWL)).body
    assert one in whole


def test_a_list_is_the_same_bytes_while_nothing_changed(cache: Cache) -> None:
    """Though the Hub signs its icons anew at every listing."""
    before = [answer(cache.snapshot, operation) for operation in LISTS]
    for _ in range(3):
        cache.ask(*LISTS, after=INTERVAL)
        after = [answer(cache.snapshot, operation) for operation in LISTS]
        assert [(a.body, a.etag) for a in after] == [(b.body, b.etag) for b in before]
        assert {a.confirmed_at for a in after} == {cache.now}


def test_an_etag_changes_exactly_when_the_bytes_do(cache: Cache) -> None:
    """An edit, another order, a rotated value and a lock each give a new ETag; other answers keep theirs."""
    seen: dict[str, bytes] = {}

    def look(*, clear: bool = True) -> tuple[str, str]:
        found = answer(cache.snapshot, ops.ListAssistants(None), clear=clear)
        assert seen.setdefault(found.etag, found.body) == found.body
        assert [tag for tag, body in seen.items() if body == found.body] == [found.etag]
        return found.etag, answer(cache.snapshot, ops.ListAssistants(ACME), clear=clear).etag

    first = look()
    cache.hub.edit_assistant("dana/quiet", "qwen3-8b", "qwen3-9b")
    cache.ask(*LISTS, after=INTERVAL)
    edited = look()
    assert edited[0] != first[0]
    assert edited[1] == first[1]
    with cache.hub.changing() as world:
        world.roster.reverse()
    cache.ask(*LISTS, after=INTERVAL)
    assert look()[0] != edited[0]
    cache.hub.set_secret("OPENAI_API_KEY", "canary-rotated")
    cache.ask(*LISTS, after=INTERVAL)
    look()
    look(clear=False)
    assert len(seen) == 5


def test_etags_are_keyed() -> None:
    """So nobody can test guesses of a secret against one."""
    tags = set()
    for key in (b"a" * 32, b"b" * 32):
        cache = Cache()
        cache.ask(*LISTS)
        tags.add(answer(cache.publish(replace(TERMS, etag_key=key)), ops.GetPolicy()).etag)
    assert len(tags) == 2


def test_bodies_of_what_did_not_change_are_taken_over(cache: Cache) -> None:
    """It is the same object, not only an equal one: a pass without changes renders nothing."""
    operation = ops.GetAssistant(None, False, NIGHT_OWL)
    before = answer(cache.snapshot, operation).body
    other = answer(cache.snapshot, ops.GetAssistant(None, False, q.Slug("dana", "quiet"))).body
    cache.hub.edit_assistant("dana/quiet", "qwen3-8b", "qwen3-9b")
    cache.ask(*LISTS, after=INTERVAL)
    assert answer(cache.snapshot, operation).body is before
    assert answer(cache.snapshot, ops.GetAssistant(None, False, q.Slug("dana", "quiet"))).body != other
    cache.publish(replace(TERMS, icon=lambda url: "http://other/icon"))
    assert b"http://other/icon" in answer(cache.snapshot, operation).body


def check_hidden(snapshot: Snapshot | None, *, clear: bool) -> None:
    for operation in LISTS[:2]:
        found = answer(snapshot, operation, clear=clear)
        assert not [canary for canary in CANARIES if canary in found.body.decode()]
        assert b"${{ secrets.OPENAI_API_KEY }}" in found.body
        assert found.withheld
        assert found.grade(START) == "expired"
    policy = answer(snapshot, ops.GetPolicy(), clear=clear)
    assert not policy.withheld


def test_a_locked_cache_and_a_reader_without_rights_get_references(cache: Cache) -> None:
    """They have `${{ secrets.NAME }}` in place of values; what has no value is unchanged."""
    check_hidden(cache.snapshot, clear=False)
    check_hidden(cache.publish(lock=Lock("asked", START)), clear=True)
    cache.publish(lock=None)
    assert not answer(cache.snapshot, LISTS[0]).withheld
    assert CANARIES[0] in answer(cache.snapshot, LISTS[0]).body.decode()


def test_values_that_were_not_confirmed_for_long_expire(cache: Cache) -> None:
    """At `next_expiry`, to the second; configs go on being served without them, and a confirmation ends it."""
    assert cache.snapshot is not None
    assert cache.snapshot.next_expiry == START + WEEK
    cache.now = START + WEEK - 1
    assert not answer(cache.publish(), LISTS[0]).withheld
    cache.now = START + WEEK
    check_hidden(cache.publish(), clear=True)
    assert cache.snapshot.grade(q.Assistant(None, False, NIGHT_OWL), cache.now) == "expired"
    assert cache.snapshot.grade(q.Policy(), cache.now) == "stale"
    assert cache.snapshot.next_expiry == float("inf")
    cache.ask(*LISTS)
    assert not answer(cache.snapshot, LISTS[0]).withheld
    assert cache.snapshot.next_expiry == cache.now + WEEK


def test_next_expiry_is_the_earliest(cache: Cache) -> None:
    """The earliest of those that are not confirmed together."""
    cache.ask(ops.ListAssistants(None), after=3600)
    assert cache.snapshot is not None
    assert cache.snapshot.next_expiry == START + WEEK


def test_full_slugs_are_made_of_the_list(cache: Cache) -> None:
    """The Hub never answers this one; versions are the configs', `latest` where one did not load."""
    found = value(answer(cache.snapshot, ops.ListFullSlugs(None)))["fullSlugs"]
    listed = value(answer(cache.snapshot, ops.ListAssistants(None)))
    assert [(each["ownerSlug"], each["packageSlug"]) for each in found] == [
        (item["ownerSlug"], item["packageSlug"]) for item in listed
    ]
    versions = {each["packageSlug"]: each["versionSlug"] for each in found}
    assert versions["night-owl"] == "1.4.0"
    assert versions["broken"] == "latest"


@pytest.mark.parametrize(
    ("operation", "ask"),
    [
        (ops.ListAssistants("org_x"), ops.ListAssistants("org_x")),
        (ops.ListAssistants(None, True), ops.ListAssistants(None, True)),
        (ops.ListFullSlugs("org_x"), ops.ListAssistants("org_x", False)),
        (ops.GetAssistant(None, True, NIGHT_OWL), ops.GetAssistant(None, True, NIGHT_OWL)),
        (ops.GetFreeTrialStatus(), ops.GetFreeTrialStatus()),
        (ops.GetCheckoutUrl("p", None), ops.GetCheckoutUrl("p", None)),
    ],
)
def test_what_was_never_asked_is_unknown(cache: Cache, operation: ops.Operation, ask: ops.Operation) -> None:
    """It is said what to ask the Hub. The answer of another scope or variant is never given in its place."""
    assert cache.snapshot is not None
    assert cache.snapshot.answer(operation, clear=True) == Unknown(ask)


def test_a_withdrawn_assistant_is_answered_as_the_hub_did(cache: Cache) -> None:
    """With the same status and message, and the right age; and it is in no list."""
    cache.hub.remove_assistant("dana/quiet")
    for _ in range(2):
        cache.ask(*LISTS, after=INTERVAL)
    gone = answer(cache.snapshot, ops.GetAssistant(None, False, q.Slug("dana", "quiet")))
    assert (gone.status, value(gone)) == (404, {"message": "Assistant not found"})
    assert gone.confirmed_at == cache.now
    assert not [each for each in value(answer(cache.snapshot, LISTS[0])) if each["packageSlug"] == "quiet"]
    assert "quiet" not in answer(cache.snapshot, ops.ListFullSlugs(None)).body.decode()


def test_a_frozen_member_ages_alone_and_its_list_with_it(cache: Cache) -> None:
    """A list is as old as its oldest member."""
    cache.hub.edit_assistant("dana/quiet", "models:", "models: none\nx:")
    cache.ask(*LISTS, after=INTERVAL)
    quiet = ops.GetAssistant(None, False, q.Slug("dana", "quiet"))
    assert answer(cache.snapshot, quiet).confirmed_at == START
    assert answer(cache.snapshot, quiet).grade(cache.now) == "stale"
    assert answer(cache.snapshot, ops.GetAssistant(None, False, NIGHT_OWL)).confirmed_at == cache.now
    assert answer(cache.snapshot, ops.GetAssistant(None, False, NIGHT_OWL)).grade(cache.now) == "fresh"
    assert answer(cache.snapshot, LISTS[0]).confirmed_at == START
    assert answer(cache.snapshot, LISTS[1]).confirmed_at == cache.now


def test_grades_follow_the_clock(cache: Cache) -> None:
    """Fresh while younger than its interval, then stale; what is asked seldom later, a fixed version never."""
    cache.ask(ops.GetFreeTrialStatus(), ops.GetBlock(q.Slug("mistral", "codestral"), "1.2.0"))
    snapshot = cache.publish()
    policy, trial = answer(snapshot, ops.GetPolicy()), answer(snapshot, ops.GetFreeTrialStatus())
    block = answer(snapshot, ops.GetBlock(q.Slug("mistral", "codestral"), "1.2.0"))
    assert [policy.grade(START + after) for after in (0, 899, 900)] == ["fresh", "fresh", "stale"]
    assert [trial.grade(START + after) for after in (DAY - 1, DAY)] == ["fresh", "stale"]
    assert block.grade(START + 10**9) == "fresh"
    assert snapshot.grade(q.Policy(), START + 899) == "fresh"
    assert snapshot.grade(q.Credits(), START) is None


def test_what_is_dated_in_the_future_is_stale(cache: Cache) -> None:
    """The clock was set back since, and nobody knows how old it is. Small corrections of clocks don't count."""
    policy = answer(cache.snapshot, ops.GetPolicy())
    assert [policy.grade(START - ahead) for ahead in (1, 60, 61, DAY)] == ["fresh", "fresh", "stale", "stale"]
    assert cache.snapshot is not None
    assert cache.snapshot.grade(q.Policy(), START - DAY) == "stale"


def test_icons_are_found_by_the_name_in_their_address(cache: Cache) -> None:
    """And by no other name, and only when their bytes are kept."""
    url = "http://localhost/icons/assistants/dana/night-owl.png"
    cache.ask(*LISTS, icons=(Fact(q.Icon(url), Content(Template(b"\x89PNG"), {}, {"type": "image/png"})),))
    address = value(answer(cache.snapshot, ops.GetAssistant(None, False, NIGHT_OWL)))["iconUrl"]
    assert cache.snapshot is not None
    assert cache.snapshot.icon(address.rpartition("/")[2]) == (b"\x89PNG", "image/png")
    assert cache.snapshot.icon("0" * 32) is None
    assert cache.snapshot.icon("") is None


def test_answers_are_made_once(cache: Cache) -> None:
    """The same question gets the same object. Only answers to words that clients choose are not remembered."""
    assert cache.snapshot is not None
    assert answer(cache.snapshot, LISTS[0]) is answer(cache.snapshot, LISTS[0])
    cache.ask(sync(PIN))
    assert answer(cache.snapshot, sync(PIN)) is not answer(cache.snapshot, sync(PIN))


def test_an_outage_changes_nothing_but_ages(cache: Cache) -> None:
    """The same bytes for as long as it takes, values until they expire."""
    before = {operation: answer(cache.snapshot, operation) for operation in LISTS}
    for _ in range(3):
        cache.now += 86400
        report = PassReport(tuple((operation, Unreachable("down")) for operation in LISTS))
        cache.state = apply(cache.state, judge(cache.state, report, cache.now, interval=INTERVAL))
        cache.publish()
        for operation, old in before.items():
            new = answer(cache.snapshot, operation)
            assert (new.body, new.etag, new.confirmed_at) == (old.body, old.etag, old.confirmed_at)
            assert new.grade(cache.now) == "stale"


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.booleans()), max_size=4))
def test_a_join_of_any_members_is_the_array_of_them(members: list[tuple[str, bool]]) -> None:
    """With any bytes there is no comma too many, and no value where none may be."""
    facts = []
    for index, (text, bound) in enumerate(members):
        template = Template(orjson.dumps({"t": text, "k": ""}))
        holes = (Hole(len(template.text) - 2, "secret", "K"),) if bound else ()
        bindings = {"K": SecretStr("canary-" + text)} if bound else {}
        content = Content(Template(template.text, holes), bindings)
        facts.append(Fact(q.Assistant(None, False, q.Slug("o", str(index))), content))
    roster = Content(Template(orjson.dumps([["o", str(index)] for index in range(len(members))])))
    facts.append(Fact(q.Roster(None, False), roster))
    report = PassReport(((ops.ListAssistants(None), Answered(tuple(facts))),))
    state = apply(State({}, Ledger()), judge(State(), report, START, interval=INTERVAL))
    snapshot = Snapshot(state, TERMS, START)
    clear = value(answer(snapshot, ops.ListAssistants(None)))
    assert clear == [{"t": text, "k": f"canary-{text}" if bound else ""} for text, bound in members]
    hidden = answer(snapshot, ops.ListAssistants(None), clear=False)
    assert [each["k"] for each in value(hidden)] == ["${{ secrets.K }}" if bound else "" for _, bound in members]
    assert hidden.withheld == any(bound for _, bound in members)
