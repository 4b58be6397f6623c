"""Answers that are almost right: real answers of the demo Hub, each changed somewhere, through everything that a worker
and the judgement do with them. Each is told to be malformed, or it is served as it was said; none crashes, none loses.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hublet.core import operations as ops
from hublet.core.judgement import judge
from hublet.core.outcomes import Answered, Malformed, Outcome, PassReport, Unreachable
from hublet.core.questions import Fqsn, Slug
from hublet.core.snapshot import Answer, Snapshot, Terms
from hublet.core.state import State, apply
from hublet.demo.data import ACME, DEMO_KEY
from hublet.demo.hub import Hub
from hublet.upstream.http import Said
from hublet.upstream.order import Hub as HubAt
from hublet.upstream.order import Reader, Told, WorkOrder, word_to_frames
from hublet.upstream.strict import DEEPEST, NotStrict, loads
from hublet.upstream.survey import survey

NOW, INTERVAL = 1_750_000_000.0, 900.0
TERMS = Terms(icon=lambda url: url, etag_key=bytes(32), interval=900, longest=900, seldom=900, max_stale=7 * 86400)
CHAT = Slug("dana", "local-chat")
ASKED: tuple[ops.Operation, ...] = (
    ops.ListAssistants(None),
    ops.ListAssistants(ACME),
    ops.GetAssistant(None, False, CHAT),
    ops.ListOrganizations(),
    ops.GetPolicy(),
    ops.GetFreeTrialStatus(),
    ops.GetCredits(),
    ops.GetAuthScope(),
    ops.GetBlock(Slug("anthropic", "claude-sonnet-4"), "latest"),
    ops.DownloadPackage(Slug("anthropic", "claude-sonnet-4"), "latest"),
    ops.SyncSecrets.of(None, (Fqsn((CHAT,), "LLM_KEY"), Fqsn((CHAT,), "NOT_THERE"))),
)


def said(operation: ops.Operation) -> bytes:
    """The body of a good answer."""
    call = ops.write(operation)
    reply = HUB.respond(call.method, call.target, {"authorization": f"Bearer {DEMO_KEY}"}, call.body or b"")
    assert reply.status == 200
    return reply.read()


HUB = Hub("http://127.0.0.1:9/v1", clock=lambda: NOW)
BODIES = {operation: said(operation) for operation in ASKED}


class Saying:
    """An upstream that answers one operation, and nobody for any other."""

    def __init__(self, operation: ops.Operation, said: Outcome | Said) -> None:
        self.operation, self.said = operation, said

    async def ask(self, operation: ops.Operation) -> Outcome | Said:
        return self.said if operation == self.operation else Unreachable("not now")

    async def fetch_icon(self, address: str) -> None:
        return None


def outcome_of(operation: ops.Operation, body: bytes) -> Outcome:
    """What a 200 with this body becomes in a worker, and comes out of its pipe as."""
    found: Outcome | Said
    if isinstance(operation, ops.DownloadPackage):
        found = Said(body)
    else:
        try:
            found = Said(loads(body))
        except NotStrict as error:
            found = Malformed(str(error))
    said: list[Told] = []
    order = WorkOrder(HubAt("http://127.0.0.1:9", None), whole=False, ask=(operation,))
    asyncio.run(survey(order, Saying(operation, found), lambda word: said.append(word)))  # type: ignore[arg-type]
    (outcome,) = (told.outcome for told in said if told.operation == operation)
    (word,) = Reader().feed(b"".join(word_to_frames(Told(operation, outcome))))
    assert word == Told(operation, outcome), "the daemon hears what the worker said"
    return outcome


GOOD = apply(
    State(),
    judge(State(), PassReport(tuple((o, outcome_of(o, body)) for o, body in BODIES.items())), NOW, interval=INTERVAL),
)


def served(state: State, operation: ops.Operation, now: float) -> bytes:
    answer = Snapshot(state, TERMS, now).answer(operation, clear=True)
    assert isinstance(answer, Answer)
    assert answer.status == 200
    return answer.body


def survives(operation: ops.Operation, body: bytes) -> None:
    """One pass in which this body is the answer: it counts as malformed, or is served as it was said."""
    outcome = outcome_of(operation, body)
    now = NOW + INTERVAL
    after = apply(GOOD, judge(GOOD, PassReport(((operation, outcome),)), now, interval=INTERVAL))
    before, shown = served(GOOD, operation, now), served(after, operation, now)
    for other in ASKED:
        if not shares(other, operation):
            assert served(after, other, now) == served(GOOD, other, now), "another answer is another's"
    if isinstance(outcome, Malformed):
        assert shown == before
        return
    assert isinstance(outcome, Answered)
    if isinstance(operation, ops.DownloadPackage):
        assert shown in (before, body)
        return
    value, old, new = orjson.loads(body), orjson.loads(before), orjson.loads(shown)
    if isinstance(operation, ops.ListAssistants | ops.SyncSecrets):
        assert len(new) >= len(old), "nothing is lost in one pass"
        for each in new:
            assert plain(each) in [*map(plain, value), *map(plain, old)], "each element was said, now or before"
    elif isinstance(operation, ops.ListOrganizations):
        assert {org["id"] for org in old["organizations"]} <= {org["id"] for org in new["organizations"]}
    elif isinstance(operation, ops.GetPolicy):
        kept = {key for key, word in old["policy"].items() if word is not True}
        assert kept <= {key for key, word in new["policy"].items() if word is not True}, "no weaker in one pass"
    else:
        assert new in (plain(value), old)


def shares(one: ops.Operation, other: ops.Operation) -> bool:
    """Whether two operations tell of the same things: the personal list and one of its assistants."""
    personal = (ops.ListAssistants(None), ops.GetAssistant(None, False, CHAT))
    return one == other or (one in personal and other in personal)


def plain(value: Any) -> Any:
    """What has to stay: an icon's address is another one here, and a secret's name is told as it was asked."""
    value = copy.deepcopy(value)
    if isinstance(value, dict) and "fqsn" in value and "found" in value:
        del value["fqsn"]
    if isinstance(value, dict) and isinstance(value.get("iconUrl"), str) and value["iconUrl"].startswith("http"):
        value["iconUrl"] = value["iconUrl"].partition("#")[0].partition("?")[0]
    return value


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield from paths(child, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any, how: str) -> Any:
    """The value with one place changed: another value, without it, with it twice, or with one more beside."""
    if not path:
        return new
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    last = path[-1]
    if how == "remove":
        del inner[last]
    elif how == "twice" and isinstance(inner, list):
        inner.append(inner[last])
    elif how == "more" and isinstance(inner, dict):
        inner[f"{last}2"] = new
    else:
        inner[last] = new
    return value


VALUES = {o: json.loads(body) for o, body in BODIES.items() if not isinstance(o, ops.DownloadPackage)}
PATHS = {operation: list(paths(value)) for operation, value in VALUES.items()}
any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(
        ["", "..", "\x00", "${{ secrets.X }}", "a: &a [*a]", "<<: {", "http://[", "@hublet:", "{{", "- "]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[ops.Operation, bytes]:
    operation = draw(st.sampled_from(list(VALUES)))
    value = VALUES[operation]
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(PATHS[operation] if value is VALUES[operation] else list(paths(value))))
        value = replaced(value, path, draw(any_json), draw(st.sampled_from(["put", "put", "remove", "twice", "more"])))
    return operation, json.dumps(value).encode()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_an_answer_with_something_else_in_it_is_malformed_or_served_as_it_is(made: tuple[ops.Operation, bytes]) -> None:
    """Another type, a part missing, twice or too much, at every level of every answer."""
    survives(*made)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_the_same_at_length(made: tuple[ops.Operation, bytes]) -> None:
    """Fifteen hundred of them."""
    survives(*made)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[ops.Operation, bytes]:
    operation = draw(st.sampled_from(ASKED))
    body = bytearray(BODIES[operation])
    at = draw(st.integers(0, len(body) - 1))
    match draw(st.sampled_from(["cut", "flip", "insert", "remove"])):
        case "cut":
            del body[at:]
        case "flip":
            body[at] ^= 1 << draw(st.integers(0, 7))
        case "insert":
            body[at:at] = draw(st.binary(min_size=1, max_size=8))
        case "remove":
            del body[at : at + draw(st.integers(1, 50))]
    return operation, bytes(body)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged())
def test_a_damaged_body_is_malformed_or_served_as_it_came(made: tuple[ops.Operation, bytes]) -> None:
    """Cut off, or with bytes that are others, gone or too many. (A letter that became another one is what was said.)"""
    survives(*made)


def test_every_type_at_every_place_of_a_small_answer() -> None:
    """Not by chance: each place of the organizations, the policy and the trial status takes each type in turn."""
    for operation in (ops.ListOrganizations(), ops.GetPolicy(), ops.GetFreeTrialStatus(), ops.GetAuthScope()):
        for path in PATHS[operation]:
            for new in (None, True, 0, -1.5, 2**64, "", "text", [], [[]], {}, {"message": "no"}):
                survives(operation, json.dumps(replaced(VALUES[operation], path, new, "put")).encode())
            if path:
                survives(operation, json.dumps(replaced(VALUES[operation], path, None, "remove")).encode())


# One meaning

keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=3) | st.sampled_from(["a", ":", "\\", '"', "\\u003a"])
pairs = st.recursive(
    st.integers(0, 9).map(str) | keys.map(json.dumps) | st.just('"\\u003a"'),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda each: f"[{','.join(each)}]")
        | st.lists(st.tuples(keys.map(json.dumps) | st.just('"\\u0061"'), inner), max_size=4).map(
            lambda each: "{" + ",".join(f"{key}:{value}" for key, value in each) + "}"
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(pairs)
def test_a_key_that_is_given_twice_is_always_seen(text: str) -> None:
    """However deep, however escaped; and a text without one is read as everybody reads it."""
    twice = False

    def look(found: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal twice
        twice |= len(dict(found)) != len(found)
        return dict(found)

    value = json.loads(text, object_pairs_hook=look)
    if twice:
        with pytest.raises(NotStrict, match="twice"):
            loads(text.encode())
    else:
        assert loads(text.encode()) == value


@pytest.mark.parametrize(("levels", "fine"), [(DEEPEST, True), (DEEPEST + 1, False), (1024, False), (1025, False)])
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")])
def test_how_deep_an_answer_may_be_nested(levels: int, fine: bool, brackets: tuple[bytes, bytes]) -> None:
    """254 levels: what is deeper could be read, but not told again."""
    text = brackets[0] * levels + (b"" if brackets[0] == b"[" else b"1") + brackets[1] * levels
    if fine:
        loads(text)
        return
    with pytest.raises(NotStrict, match="deeper than 254 levels"):
        loads(text)
