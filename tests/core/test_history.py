"""What is kept of earlier revisions: which periods, for how long, and never a value."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hublet.core.history import (
    Period,
    Retention,
    Timeline,
    decode_revision,
    decode_timeline,
    encode_revision,
    encode_timeline,
    extended,
    kept,
    merged,
    replaced,
    revision_of,
)
from hublet.core.questions import Assistant, Fqsn, Policy, Roster, Secret, Slug
from hublet.core.records import Content, Hole, Record, Template, Withdrawn
from hublet.core.secretstr import SecretStr
from hublet.core.state import Change, Drop, Put, State

DEV = Assistant(None, False, Slug("acme", "dev"))
ALL = Retention(1000, float("inf"))


def content(text: str, key: str = "one", icon: str = "https://hub/icon") -> Content:
    template = Template(f'{{"a":"","t":"{text}","i":""}}'.encode(), (Hole(6, "secret", "KEY"), Hole(9, "icon", icon)))
    return Content(template, {"KEY": SecretStr(key)}, {"title": text})


def state(found: Content, at: float = 10.0) -> State:
    return State({DEV: Record(found, DEV, at)})


def put(found: Content, at: float) -> Change:
    return Put(DEV, Record(found, DEV, at), "changed")


def test_what_a_change_replaces_is_kept_without_values_and_with_its_time() -> None:
    (one,) = replaced([put(content("new", "two"), 50.0)], state(content("old")), 50.0)
    assert one.content.bindings == {}
    assert one.period == Period(revision_of(content("old")), 10.0, 50.0, ("KEY",))


def test_a_withdrawal_and_a_drop_end_a_period_too() -> None:
    for change in (Put(DEV, Withdrawn(404, "gone", 50.0), "withdrawn"), Drop(DEV)):
        (one,) = replaced([change], state(content("old")), 50.0)
        assert one.period == Period(revision_of(content("old")), 10.0, 50.0)


def test_what_is_no_content_of_its_own_has_no_history() -> None:
    for question in (Roster(None, False), Secret(None, Fqsn((), "KEY"))):
        before = State({question: Record(content("old"), question, 1.0)})
        assert not list(replaced([Put(question, Record(content("new"), question, 2.0), "changed")], before, 2.0))


def test_a_record_that_only_has_another_source_is_the_same_revision() -> None:
    moved = Put(DEV, Record(content("old"), Roster(None, False), 10.0), "moved")
    assert not list(replaced([moved], state(content("old")), 50.0))


def test_a_rotated_value_leaves_its_name_and_nothing_of_either_value() -> None:
    (one,) = replaced([put(content("old", "two"), 50.0)], state(content("old", "one")), 50.0)
    assert one.period.secrets == ("KEY",)
    packed = encode_revision(one.question, one.content) + encode_timeline(extended(Timeline(DEV), one.period, ALL))
    assert b"one" not in packed
    assert b"two" not in packed


def test_an_icon_makes_no_revision() -> None:
    old, new = content("same", icon="https://hub/1"), content("same", icon="https://hub/2")
    assert revision_of(old) == revision_of(new)
    (one,) = replaced([put(new, 50.0)], state(old), 50.0)
    timeline = extended(Timeline(DEV), one.period, ALL)
    assert merged(timeline, Record(new, DEV, 50.0)) == ((revision_of(old), 10.0, None, ()),)
    (two,) = replaced([put(content("other"), 90.0)], state(new, 50.0), 90.0)
    assert extended(timeline, two.period, ALL).periods == (Period(revision_of(old), 10.0, 90.0),)


def test_secrets_that_changed_are_told_where_the_next_period_begins() -> None:
    timeline = Timeline(DEV, (Period("aaaa", 1.0, 5.0, ("KEY",)),))
    present = Record(content("old"), DEV, 5.0)
    assert [row[3] for row in merged(timeline, present)] == [(), ("KEY",)]


def test_a_gap_shows_that_it_was_taken_back() -> None:
    timeline = Timeline(DEV, (Period(revision_of(content("old")), 1.0, 5.0),))
    assert [row[1:3] for row in merged(timeline, Record(content("old"), DEV, 9.0))] == [(1.0, 5.0), (9.0, None)]
    assert [row[1:3] for row in merged(timeline, None)] == [(1.0, 5.0)]


def test_a_change_that_was_saved_although_it_was_reported_lost_counts_once() -> None:
    period = Period("aaaa", 1.0, 5.0)
    once = extended(Timeline(DEV), period, ALL)
    assert extended(once, period, ALL) == once


periods = st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0.1, 100)), max_size=30).map(
    lambda steps: tuple(
        Period(name, sum(length for _, length in steps[:at]), sum(length for _, length in steps[: at + 1]))
        for at, (name, _) in enumerate(steps)
    )
)


@given(periods, st.integers(0, 6), st.floats(0, 200))
def test_only_as_many_revisions_are_kept_and_only_young_ones_and_those_the_latest(
    found: tuple[Period, ...], count: int, age: float
) -> None:
    now = found[-1].until if found else 0.0
    left = kept(found, Retention(count, age), now)
    names = {period.revision for period in left}
    assert len(names) <= count
    assert all(now - period.until <= age for period in left)
    assert list(left) == [period for period in found if period in left], "in order"
    young = [period for period in found if now - period.until <= age]
    latest = list(dict.fromkeys(period.revision for period in reversed(young)))[:count]
    assert names == set(latest)


@given(periods, st.lists(st.text(max_size=5), max_size=3).map(tuple))
def test_a_timeline_is_read_as_it_was_written(found: tuple[Period, ...], secrets: tuple[str, ...]) -> None:
    named = tuple(Period(p.revision, p.since, p.until, secrets) for p in found)
    for timeline in (Timeline(DEV, named), Timeline(Policy(), named)):
        assert decode_timeline(encode_timeline(timeline)) == timeline


@given(st.text(max_size=50), st.text(max_size=5))
def test_a_revision_is_read_as_it_was_written_without_its_values(text: str, name: str) -> None:
    found = Content(Template(text.encode(), (Hole(0, "secret", name),)), {name: SecretStr("value")}, {"title": text})
    question, read = decode_revision(encode_revision(DEV, found))
    assert question == DEV
    assert (read.template, read.traits, read.bindings) == (found.template, found.traits, {})
