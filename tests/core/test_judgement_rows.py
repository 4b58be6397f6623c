"""Any row of passes: what must hold of them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.judged import (
    INTERVAL,
    START,
    Account,
    Told,
    bad,
    block,
    content,
    directly,
    listing,
    orgs,
    policy,
    trial,
)

from hublet.core import operations as ops
from hublet.core.outcomes import Answered, NotModified, Refused
from hublet.core.policy import restrictions
from hublet.core.questions import PERSONAL, Assistant, Icon, Organizations, Policy, Roster, Scope
from hublet.core.records import Content, Record, Withdrawn
from hublet.core.state import State, confirmed_at, members, organizations

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
    """What no pass may ever do, a check for each."""
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
    """Nothing unsound replaces what is sound. Nothing is withdrawn by one pass, or changed without an answer. No
    organization and no whole scope is lost unless the user accepts it. No time of ours is in the future."""
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
