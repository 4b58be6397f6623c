"""A 304 counts just as a 200 with the same words, whatever happened in between."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.judged import INTERVAL, START, Told, asst, content, directly, listing, many, orgs, policy, slug, trial

from hublet.core import operations as ops
from hublet.core.confirming import kept, usable
from hublet.core.endpoints import TRAIT, Endpoint, to_trait
from hublet.core.judgement import judge
from hublet.core.ledger import ledger_from_plain, ledger_to_plain
from hublet.core.locking import anew
from hublet.core.merging import taken_over
from hublet.core.outcomes import Answered, NotModified, Outcome, PassReport, Refused, Unreachable
from hublet.core.pins import pinned
from hublet.core.quarantine import accept, reject
from hublet.core.questions import Assistant, Fqsn, Icon, Organizations, Pinned, Policy, Roster, Secret
from hublet.core.records import Content, Fact, Record, Template
from hublet.core.state import Drop, Put, State, Verdict, apply, confirmed_at
from hublet.core.validators import (
    LONGEST_BELIEVED,
    Validator,
    asker_of,
    is_believed,
    validators_from_plain,
    validators_to_plain,
)

ASKER = asker_of("https://hub.example", "con_a", "1.0")
LIST, ROSTER = ops.ListAssistants(None), Roster(None, False)


def tagged(told: Told) -> Told:
    """The answer with an ETag, which is different for every different answer."""
    operation, outcome = told
    if not isinstance(outcome, Answered) or isinstance(operation, ops.SyncSecrets):
        return told
    words = repr(
        [(fact.question, fact.content.template, sorted(fact.content.traits.items())) for fact in outcome.facts]
    )
    tag = hashlib.sha256(words.encode()).hexdigest()[:16]
    return operation, replace(outcome, validator=Validator(ASKER, f'"{tag}"'))


@dataclass
class World:
    """A state and the passes over it. With `conditional` the Hub answers 304 to what it is asked conditionally and has
    not changed."""

    conditional: bool = False
    state: State = field(default_factory=State)
    now: float = START
    spared: int = 0

    def pass_(
        self,
        *told: Told,
        after: float = INTERVAL,
        whole: bool = True,
        hold: bool = False,
        icons: tuple[Fact, ...] = (),
    ) -> Verdict:
        self.now += after
        said = [self._said(*tagged(each)) for each in told]
        verdict = judge(
            self.state, PassReport(tuple(said), icons, whole), self.now, interval=INTERVAL, hold_commands=hold
        )
        self.settle(verdict)
        return verdict

    def _said(self, operation: ops.Operation, outcome: Outcome) -> Told:
        if self.conditional and isinstance(outcome, Answered):
            sent = usable(self.state, ASKER, self.now).get(operation)
            if sent is not None and outcome.validator is not None and sent.etag == outcome.validator.etag:
                self.spared += 1
                return operation, NotModified(sent)
        return operation, outcome

    def settle(self, verdict: Verdict) -> None:
        self.state = apply(self.state, verdict)
        plain = orjson.loads(orjson.dumps(ledger_to_plain(self.state.ledger)))
        assert ledger_from_plain(plain) == self.state.ledger

    @property
    def asks(self) -> set[ops.Operation]:
        """What would be asked conditionally now."""
        return set(usable(self.state, ASKER, self.now))


GOOD = (
    listing(*many(10)),
    orgs("acme"),
    policy({"telemetry": False}),
    trial(),
    directly("default", content()),
)


def good() -> World:
    world = World()
    world.pass_(*GOOD)
    return world


def test_what_is_kept_as_it_was_said_is_asked_conditionally() -> None:
    world = good()
    assert world.asks == {operation for operation, _ in GOOD}
    world.pass_(*GOOD)
    assert world.asks == {operation for operation, _ in GOOD}


def test_a_304_confirms_and_writes_no_record() -> None:
    world = World(conditional=True)
    world.pass_(*GOOD)
    verdict = world.pass_(*GOOD)
    assert world.spared == len(GOOD)
    assert verdict.changes == ()
    for question in world.state.records:
        assert confirmed_at(world.state, question) == world.now


def test_a_304_of_another_validator_says_nothing() -> None:
    """Or without any validator: it came late, or nobody has asked for it."""
    for validator in (None, Validator(ASKER, '"other"'), Validator(asker_of("https://x", "con_b", "1.0"), '"other"')):
        world = good()
        before = confirmed_at(world.state, ROSTER)
        world.now += INTERVAL
        report = PassReport(((LIST, NotModified(validator)),))
        world.settle(judge(world.state, report, world.now, interval=INTERVAL))
        assert confirmed_at(world.state, ROSTER) == before
        assert LIST not in world.asks


def test_what_is_not_kept_as_it_was_said_is_asked_as_a_whole() -> None:
    """What is held, missing, unsound or looser is asked for unconditionally, so that the Hub says it again."""
    for told, operation in (
        (listing(*many(5)), LIST),
        (listing(*many(9)), LIST),
        (listing(), LIST),
        (listing(*many(10), a00=content(2, trouble="no config")), LIST),
        (policy(None), ops.GetPolicy()),
        (orgs(), ops.ListOrganizations()),
        ((ops.GetAssistant(None, False, slug("default")), Refused(404, "Assistant not found")), None),
    ):
        world = good()
        world.pass_(told, *(each for each in GOOD if each[0] != told[0]))
        assert (operation or told[0]) not in world.asks, told


def test_a_rejected_quarantine_is_asked_as_a_whole_for_ever_and_an_accepted_one_is_not() -> None:
    for settle_it, conditional in ((reject, False), (lambda s, q: accept(s, q, START + 5000), True)):
        world = good()
        smaller = (listing(*many(5)), *GOOD[1:])
        world.pass_(*smaller)
        world.settle(settle_it(world.state, ROSTER))  # type: ignore[operator]
        assert LIST not in world.asks
        world.pass_(*smaller)
        assert (LIST in world.asks) is conditional


def test_an_icon_that_is_not_there_yet_has_to_be_told_again() -> None:
    """Only the answer has its address."""
    world = World()
    told = listing("a", a=content(icon="https://i/1"))
    world.pass_(told)
    assert world.asks == set()
    world.pass_(told, icons=(Fact(Icon("https://i/1"), Content(Template(b"x"), {}, {"type": "image/png"})),))
    assert world.asks == {LIST}


def test_secrets_that_did_not_come_in_are_looked_for_again() -> None:
    """A list names secrets: it is asked for unconditionally until they are known. So is a list that was asked for
    between passes."""
    name = Fqsn((), "KEY")
    secrets = ops.SyncSecrets.of(None, (name,))
    told = listing("a")
    found = Answered((Fact(Secret(None, name), Content(Template(b"null"))),))
    for outcome, whole, asks in ((Unreachable("no"), True, set()), (found, False, set()), (found, True, {LIST})):
        world = World()
        world.pass_(told, (secrets, outcome), whole=whole)
        assert world.asks == asks


def test_a_validator_is_lost_with_the_first_change_of_what_it_covers() -> None:
    """Whoever makes the change. A change of something else loses no validator."""
    elsewhere = Put(asst("x", "acme"), Record(content(7), asst("x", "acme"), START), "added")
    changed = Put(asst("a00"), Record(content(7), ROSTER, START), "changed")
    for change, lost in ((elsewhere, set()), (changed, {LIST}), (Drop(asst("a00")), {LIST}), (Drop(Policy()), None)):
        world = good()
        before = world.asks
        world.settle(Verdict((change,), world.state.ledger))
        assert before - world.asks == ({ops.GetPolicy()} if lost is None else lost)


def test_another_cache_that_is_taken_over_takes_them_away() -> None:
    world, other = good(), World(now=START + 100)
    other.pass_(listing(*many(10), a00=content(2)))
    world.settle(taken_over(world.state, other.state))
    assert LIST not in world.asks


def test_a_record_that_was_lost_on_the_disk_is_asked_for() -> None:
    world = good()
    for question in (asst("a03"), ROSTER):
        records = {other: known for other, known in world.state.records.items() if other != question}
        assert LIST not in usable(State(records, world.state.ledger), ASKER, world.now)


def test_a_pin_takes_nothing_away() -> None:
    """A pin is served in place of what the Hub said, which is kept as it was."""
    world = good()
    known = world.state.records[asst("a00")]
    assert isinstance(known, Record)
    pin = Put(Pinned.of(asst("a00")), pinned(asst("a00"), "r1", known.content, float("inf"), START), "added")
    world.settle(Verdict((pin,), world.state.ledger))
    assert LIST in world.asks


def test_nobody_else_and_nowhere_else() -> None:
    """A validator is not sent with another key, to another Hub, by another version of hublet, or after a fresh
    start."""
    world = good()
    for url, key, version in (
        ("https://hub.example", "con_b", "1.0"),
        ("https://other.example", "con_a", "1.0"),
        ("https://hub.example", "con_a", "1.1"),
    ):
        assert usable(world.state, asker_of(url, key, version), world.now) == {}
    assert anew(world.state.ledger).validators == {}


def test_every_answer_is_asked_as_a_whole_within_a_week_and_not_all_in_one_pass() -> None:
    """A 304 makes no validator younger; an answer that comes as a whole is good for as long again."""
    world = World(conditional=True)
    world.pass_(*GOOD)
    times: list[int] = []
    for _ in range(2 * 7 * 24):
        world.pass_(*GOOD, after=3600)
        assert all(world.now - v.at <= LONGEST_BELIEVED for v in world.state.ledger.validators.values())
        times.append(len(GOOD) - world.spared)
        world.spared = 0
    assert max(times) < len(GOOD)
    assert 2 * len(GOOD) <= sum(times) <= 4 * len(GOOD)


@given(st.builds(ops.GetBlock, st.builds(slug, st.text("abc", min_size=1)), st.just("latest")), st.floats(0, 1))
def test_how_long_a_validator_is_believed(operation: ops.Operation, share: float) -> None:
    """At least half a week and at most a week; not when a clock that was set back has put it ahead, nor when nobody
    knows how old it is."""
    validator = Validator(ASKER, at=START)
    assert is_believed(operation, validator, START + share * (LONGEST_BELIEVED / 2 - 1))
    assert not is_believed(operation, validator, START + LONGEST_BELIEVED)
    assert not is_believed(operation, validator, START - 1)
    assert not is_believed(operation, Validator(ASKER), START)


def test_the_limits_of_answers_are_spread() -> None:
    """So that no pass has to ask for all of them."""
    at, asked = START + 0.75 * LONGEST_BELIEVED, [ops.ListAssistants(f"org_{n}") for n in range(100)]
    assert 30 < sum(is_believed(operation, Validator(ASKER, at=START), at) for operation in asked) < 70


def test_a_list_is_put_together_with_its_members_first() -> None:
    facts = kept(good().state, LIST)
    assert facts is not None
    assert [fact.question for fact in facts] == [*(asst(name) for name in many(10)), ROSTER]
    assert kept(State(), LIST) is None


# Any row of passes

_COMMANDS = [to_trait((Endpoint("mcpServers x", ("command",), ((f"run {n}",),)),)) for n in range(2)]


def _content(version: int, trouble: str | None, icon: str | None, command: int) -> Content:
    plain = content(version, trouble=trouble, icon=icon)
    return replace(plain, traits={**plain.traits, TRAIT: _COMMANDS[command]})


contents = st.builds(
    _content,
    st.integers(1, 2),
    st.sampled_from([None, None, None, None, "no config"]),
    st.sampled_from([None, "i1"]),
    st.integers(0, 1),
)
scopes = st.sampled_from([None, "acme"])
answers: st.SearchStrategy[Told] = st.one_of(
    st.builds(
        lambda scope, members: listing(*members, scope=scope, **members),
        scopes,
        st.dictionaries(st.sampled_from("abcd"), contents, max_size=4),
    ),
    st.builds(directly, st.sampled_from("abcd"), contents, scopes),
    st.lists(st.sampled_from(["acme", "init"]), unique=True).map(lambda ids: orgs(*ids)),
    st.builds(policy, st.none() | st.dictionaries(st.sampled_from("xy"), st.sampled_from([True, False]))),
)
failures = st.sampled_from(
    [
        Unreachable("no"),
        Refused(401, "Unauthorized"),
        Refused(404, "Assistant not found"),
        Refused(404, "User not found"),
    ]
)
passes = st.tuples(
    st.lists(answers | st.tuples(answers.map(lambda told: told[0]), failures), max_size=4, unique_by=lambda t: t[0]),
    st.integers(1, 3),
    st.booleans() | st.just(True),
    st.booleans(),
    st.booleans(),
)
acts = st.sampled_from(["accept", "reject", "none", "none", "none"])
ICON = Fact(Icon("i1"), Content(Template(b"x"), {}, {"type": "image/png"}))


def test_with_304s_everything_becomes_what_it_would_have_become_with_200s() -> None:
    """The same records and the same ledger after every pass; only less was sent."""
    spared = 0

    @settings(max_examples=300, deadline=None)
    @given(rows=st.lists(st.tuples(passes, acts), max_size=6))
    def hold(rows: list[tuple[object, str]]) -> None:
        nonlocal spared
        plain, sparing = World(), World(conditional=True)
        for (told, times, whole, held_back, icon), act in rows:  # type: ignore[misc]
            for _ in range(times):  # what is said again is what can be spared
                for world in (plain, sparing):
                    world.pass_(*told, whole=whole, hold=held_back, icons=(ICON,) if icon else ())
                held = list(plain.state.ledger.held)
                if act != "none" and held:
                    for world in (plain, sparing):
                        at = world.now
                        done = accept(world.state, held[0], at) if act == "accept" else reject(world.state, held[0])
                        world.settle(done)
                assert sparing.state.records == plain.state.records
                without = [replace(world.state.ledger, validators={}) for world in (plain, sparing)]
                assert without[0] == without[1]
        spared += sparing.spared

    hold()
    assert spared > 100, "nothing was tried"


# Written down

texts = st.text(st.characters(codec="utf-8"), max_size=20)
operations: st.SearchStrategy[ops.Operation] = st.one_of(
    st.builds(ops.ListAssistants, st.none() | texts.filter(bool), st.booleans()),
    st.builds(ops.GetBlock, st.builds(slug, st.sampled_from(["a", "b%2F", "é"])), st.sampled_from(["latest", "1.0.0"])),
    st.sampled_from([ops.GetPolicy(), ops.ListOrganizations(), ops.GetCredits()]),
)


@given(
    st.dictionaries(
        operations,
        st.builds(Validator, texts, st.none() | texts, st.none() | texts, texts, st.floats(0, 2 * START)),
        max_size=5,
    )
)
def test_validators_are_read_as_they_were_written(validators: dict[ops.Operation, Validator]) -> None:
    plain = orjson.loads(orjson.dumps(validators_to_plain(validators)))
    assert validators_from_plain(plain) == validators


def test_what_no_hublet_writes_is_left_out() -> None:
    """A ledger from before there were validators has none."""
    for plain in (None, 7, {"/nowhere": ["a", "b", None]}, {"/ide/policy": ["a"]}, {"/%ff": ["a", "b", None]}):
        assert validators_from_plain(plain) == {}
    old = {name: value for name, value in ledger_to_plain(good().state.ledger).items() if name != "validators"}
    assert ledger_from_plain(old).validators == {}
    assert Organizations() in ledger_from_plain(old).confirmed
    assert isinstance(asst("a"), Assistant)
