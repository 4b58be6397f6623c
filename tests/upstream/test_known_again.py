"""Answers that are known again by our own digest, where the Hub gives no validator, or another one each time."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.in_process import Clock, InProcess, in_process, text
from tests.upstream.test_conditional import ACMES, LIST, Counting, passed, told

from hublet.core import secretrefs
from hublet.core.outcomes import Answered, NotModified, PassReport
from hublet.core.records import Record
from hublet.core.validators import validator_from_plain, validator_to_plain, validators_from_plain, validators_to_plain
from hublet.demo.hub import Hub
from hublet.upstream.validating import digest_of

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["iconUrl", "organizations", "config", "name"]) | st.text(max_size=2), inner, max_size=3
    ),
    max_leaves=12,
)  # fmt: skip
assistants = st.fixed_dictionaries(
    {"ownerSlug": st.text(max_size=3), "configResult": values, "rawYaml": st.text(max_size=3)}
)


@given(values, values)
def test_another_answer_is_another_word(one: object, other: object) -> None:
    """Whatever is different in it. The same answer, read anew, has the same digest."""
    assert digest_of(orjson.loads(orjson.dumps(one))) == digest_of(one)
    assume(orjson.dumps(one) != orjson.dumps(other) and b"?" not in orjson.dumps(one) + orjson.dumps(other))
    assert digest_of(one) != digest_of(other)


@given(st.lists(assistants, min_size=1, max_size=3), st.text("abc=&", max_size=8), st.text("abc=&", max_size=8))
def test_the_signature_of_an_icon_does_not_count_and_its_address_does(
    listed: list[dict[str, Any]], first: str, second: str
) -> None:
    """In a list, in a single assistant and in the organizations. The answer itself is not changed."""

    def signed(query: str, address: str = "https://icons/a.png") -> list[dict[str, Any]]:
        return [each | {"iconUrl": f"{address}?{query}"} for each in listed]

    for shaped in (lambda items: items, lambda items: items[0], lambda items: {"organizations": items}):
        before = shaped(signed(first))
        kept = copy.deepcopy(before)
        assert digest_of(before) == digest_of(shaped(signed(second)))
        assert before == kept
        assert digest_of(before) != digest_of(shaped(signed(first, "https://icons/b.png")))


@given(st.text("abc=&", max_size=8), st.text("abc=&", max_size=8))
def test_an_address_that_an_assistant_is_configured_with_counts_whole(first: str, second: str) -> None:
    """It only looks like an icon's: `iconUrl` within a config is the author's."""
    assume(first != second)

    def configured(query: str) -> object:
        return [{"iconUrl": None, "configResult": {"config": {"iconUrl": f"https://tool/?{query}"}}}]

    assert digest_of(configured(first)) != digest_of(configured(second))


def test_a_hub_without_validators_has_nothing_taken_apart_twice(tmp_path: Path) -> None:
    """Its answers come whole and are known again: no package or secret is asked for, nothing judged anew."""

    async def story(it: InProcess, network: Counting) -> None:
        reports: list[PassReport] = []
        it.sync.on_judged.append(lambda report, _: reports.append(report))
        for _ in range(3):
            seen = await passed(it, network)
            assert len(seen) == 5
            assert {status for status, _ in seen.values()} == {200}
            assert {type(outcome) for _, outcome in reports[-1].outcomes} == {NotModified}
            assert (await it.ask("GET", LIST)).header("Age") == "0"

    told(tmp_path, story, hub=Hub(clock=Clock()))


def test_a_change_is_found_all_the_same_and_known_again_afterwards(tmp_path: Path) -> None:
    async def story(it: InProcess, network: Counting) -> None:
        reports: list[PassReport] = []
        it.sync.on_judged.append(lambda report, _: reports.append(report))
        it.hub.edit_assistant("acme/backend-reviewer", "Backend Reviewer", "Backend Re-reviewer")
        seen = await passed(it, network)
        assert sum(isinstance(outcome, Answered) for _, outcome in reports[0].outcomes) >= 2
        assert any(target.startswith("/registry/") for target in seen)
        assert "Backend Re-reviewer" in text(await it.ask("GET", ACMES))
        assert len(await passed(it, network)) == 5

    told(tmp_path, story, hub=Hub(clock=Clock()))


@pytest.mark.parametrize("validators", [False, True])
def test_another_version_of_hublet_reads_every_answer_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, validators: bool
) -> None:
    """What it takes for a secret is taken out of answers, too, that are the same as before the upgrade. That costs one
    whole pass."""
    clock = Clock()
    hub = Hub(clock=clock, validators=validators)

    def holes(it: InProcess) -> int:
        records = it.sync.state.records.values()
        return sum(len(known.content.template.holes) for known in records if isinstance(known, Record))

    async def life() -> None:
        async with in_process(tmp_path, hub=hub, clock=clock) as it:
            await it.log_in()
            before = holes(it)
        monkeypatch.setattr(secretrefs, "_ALWAYS", secretrefs._ALWAYS | {"title", "description", "command"})
        async with in_process(tmp_path, hub=hub, clock=clock) as it:
            clock.advance(900)
            await it.sync.run_pass()
            assert holes(it) == before
        monkeypatch.setattr("hublet.upstream.order.__version__", "99.0", raising=False)
        async with in_process(tmp_path, hub=hub, clock=clock, transport=Counting) as it:
            assert isinstance(it.network, Counting)
            assert 304 not in {status for status, _ in (await passed(it, it.network)).values()}
            assert holes(it) > before
            assert (await passed(it, it.network))[LIST][0] == (304 if validators else 200)

    asyncio.run(life())


def test_ledgers_from_before_there_were_digests_are_read() -> None:
    """What they hold goes on being asked conditionally; anything else is left out."""
    plain = {
        "/ide/policy": ["us", '"a"', None],
        "/ide/credits": ["us", None, None, "ab"],
        "/ide/free-trial-status": ["us", None, None, "ab", 17],
        "/ide/list-organizations": [1],
    }
    found = validators_from_plain(plain)
    assert [v.header() for v in found.values()] == [("If-None-Match", '"a"'), None, None]
    assert [v.at for v in found.values()] == [0.0, 0.0, 17.0]
    assert validators_from_plain(validators_to_plain(found)) == found
    assert validator_from_plain(validator_to_plain(next(iter(found.values())))) in found.values()
