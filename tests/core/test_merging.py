"""What is taken over from elsewhere: the younger word, never a looser policy, never less than there was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hublet.core.ledger import Ledger, Lock
from hublet.core.lists import roster_content
from hublet.core.merging import added, taken_over
from hublet.core.questions import Assistant, Organizations, Pinned, Policy, Proposed, Question, Roster, Slug
from hublet.core.records import Content, Record, Template
from hublet.core.state import State, apply, confirmed_at, members

ROSTER = Roster(None, False)
QUESTIONS: list[Question] = [Assistant(None, False, Slug("a", name)) for name in "xyz"] + [Organizations()]


def record(question: Question, text: str, at: float = 1.0) -> Record:
    return Record(Content(Template(text.encode())), question, at)


def states(label: str) -> st.SearchStrategy[State]:
    times = st.dictionaries(st.sampled_from(QUESTIONS), st.floats(1, 100))
    return times.map(
        lambda found: State(
            {question: record(question, f'"{label}"', at) for question, at in found.items()}, Ledger(confirmed=found)
        )
    )


@given(states("ours"), states("theirs"))
def test_of_each_question_the_younger_word_is_known_afterwards(ours: State, theirs: State) -> None:
    after = apply(ours, taken_over(ours, theirs))
    assert after.records.keys() == ours.records.keys() | theirs.records.keys()
    for question, known in after.records.items():
        times = {label: confirmed_at(state, question) for label, state in (("ours", ours), ("theirs", theirs))}
        assert isinstance(known, Record)
        chosen = known.content.template.text.decode().strip('"')
        assert times[chosen] == max(at for at in times.values() if at is not None)
        assert confirmed_at(after, question) == times[chosen]
    assert not taken_over(after, theirs).changes, "once more takes nothing"


def test_a_policy_that_is_there_stays_and_one_that_is_missing_is_taken() -> None:
    theirs = State({Policy(): record(Policy(), '{"policy":null}', 9.0)}, Ledger(confirmed={Policy(): 9.0}))
    ours = State({Policy(): record(Policy(), '{"policy":{}}')}, Ledger(confirmed={Policy(): 1.0}))
    assert not taken_over(ours, theirs).changes
    assert taken_over(State(), theirs).changes


def test_what_waits_for_a_word_there_stays_there_and_a_lock_comes_along() -> None:
    slug = Slug("a", "x")
    waiting = {q: record(q, "{}", 9.0) for q in (Proposed(None, False, slug), Pinned(None, False, slug))}
    verdict = taken_over(State(), State(waiting, Ledger(lock=Lock("asked", 3.0))))
    assert [change.question for change in verdict.changes] == [Pinned(None, False, slug)]
    assert verdict.ledger.lock == Lock("asked", 3.0)


def test_a_folders_assistants_stand_behind_the_list_and_no_list_can_take_them() -> None:
    old, new, bad = (Assistant(None, False, Slug("me", name)) for name in ("old", "new", "bad"))

    def state(*found: Assistant) -> State:
        roster = Record(roster_content(one.slug for one in found), ROSTER, 1.0)
        return State({ROSTER: roster, **{one: Record(Content(Template(b"{}")), ROSTER, 1.0) for one in found}})

    other = state(new, bad)
    troubled = Content(Template(b"{}"), {}, {"trouble": "an error"})
    other = State({**other.records, bad: Record(troubled, ROSTER, 1.0)})
    after = apply(state(old), added(state(old), other, 50.0))
    assert members(after.records[ROSTER]) == (old.slug, new.slug)
    taken = after.records[new]
    assert isinstance(taken, Record)
    assert taken.source == new
    assert bad not in after.records
