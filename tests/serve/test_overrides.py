"""The user's own values go before the Hub's: in single secrets and in configs; read ahead, told when missing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from hublet.config.loading import load_config
from hublet.config.managed import Managed
from hublet.core import operations as ops
from hublet.core.ledger import Ledger, Lock
from hublet.core.questions import Fqsn, Secret, Slug
from hublet.core.secretstr import SecretStr
from hublet.core.snapshot import Answer, Terms, Unknown
from hublet.core.state import State
from hublet.demo.data import ACME, USER_SECRETS
from hublet.host.override import Hopeless, OverrideFailed
from hublet.passes.plan import Plan
from hublet.passes.sync import Sync
from hublet.serve.overrides import Overrides
from hublet.upstream.order import Hub as Origin
from tests.serve.cached import DAY, NOW, NoArchive, hub_state

OWN = "canary-own-3be71f88"
COMMAND = ("op", "read", "op://x/{name}")
SECRETS = replace(load_config(None, Managed()).secrets, override=COMMAND)
LIST = ops.ListAssistants(None)


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def made(state: State | None = None, clock: Callable[[], float] = Clock()) -> Sync:  # noqa: B008
    terms = Terms(icon=str, etag_key=bytes(32), interval=900, longest=900, seldom=900, max_stale=7 * DAY)

    async def never(*_: object) -> Any:
        raise AssertionError

    return Sync(
        NoArchive(), state or hub_state(), Plan(Origin("http://localhost", None), 900), terms, never, clock=clock
    )


def resolved(sync: Sync, name: str, scope: str | None = None, *, clear: bool = True) -> dict[str, Any]:
    answer = sync.snapshot.answer(ops.SyncSecrets.of(scope, (Fqsn((Slug("a", "b"),), name),)), clear=clear)
    assert isinstance(answer, Answer)
    (found,) = orjson.loads(answer.body)
    assert isinstance(found, dict)
    return found


def listed(sync: Sync, *, clear: bool = True) -> str:
    answer = sync.snapshot.answer(LIST, clear=clear)
    assert isinstance(answer, Answer)
    return bytes(answer.body).decode()


# What is answered


def test_an_own_value_is_answered_in_the_hubs_shape_for_every_path_and_scope() -> None:
    """Also for a name that the Hub was never asked for, and for an organization's."""
    sync = made()
    sync.override({"LLM_KEY": SecretStr(OWN), "ACME_OPENAI_KEY": SecretStr(OWN), "NEW": SecretStr('"\\n')})
    for name, scope in (("LLM_KEY", None), ("LLM_KEY", ACME), ("ACME_OPENAI_KEY", ACME)):
        found = resolved(sync, name, scope)
        assert found["found"] is True
        assert found["value"] == OWN
        assert found["fqsn"] == Fqsn((Slug("a", "b"),), name).to_wire()
        assert found["secretLocation"]["secretName"] == name
    assert resolved(sync, "NEW")["value"] == '"\\n'
    asked = ops.SyncSecrets.of(None, (Fqsn((Slug("a", "b"),), "OTHER"), Fqsn((Slug("a", "b"),), "NEW")))
    unknown = sync.snapshot.answer(asked, clear=True)
    assert unknown == Unknown(ops.SyncSecrets.of(None, (Fqsn((Slug("a", "b"),), "OTHER"),)))


def test_configs_are_rendered_with_the_own_value() -> None:
    """Wherever the Hub's stood; other values stay, and the entity tag is another one."""
    sync = made()
    before = sync.snapshot.answer(LIST, clear=True)
    assert isinstance(before, Answer)
    sync.override({"PG_PASSWORD": SecretStr(OWN)})
    after = listed(sync)
    assert f"postgresql://reader:{OWN}@db.example" in after
    assert USER_SECRETS["PG_PASSWORD"] not in after
    assert USER_SECRETS["LLM_KEY"] in after
    answer = sync.snapshot.answer(LIST, clear=True)
    assert isinstance(answer, Answer)
    assert answer.etag != before.etag
    sync.override({})
    assert listed(sync) == bytes(before.body).decode()


def test_neither_a_locked_cache_nor_a_reader_without_the_right_gets_it() -> None:
    """The references stand in its place; a single secret is not_found."""
    locked = made(replace(hub_state(), ledger=Ledger(lock=Lock("asked", NOW))))
    for sync, clear in ((made(), False), (locked, True)):
        sync.override({"LLM_KEY": SecretStr(OWN), "PG_PASSWORD": SecretStr(OWN)})
        assert OWN not in listed(sync, clear=clear)
        sync_known = ops.SyncSecrets.of(None, (Fqsn((Slug("dana", "local-chat"),), "LLM_KEY"),))
        answer = sync.snapshot.answer(sync_known, clear=clear)
        assert isinstance(answer, Answer)
        assert b"not_found" in answer.body
        assert OWN.encode() not in answer.body


# Where they come from


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


class Vault:
    """A pretend command: what it knows, what it was asked for, and how it fails."""

    def __init__(self, **known: str) -> None:
        self.known, self.asked = known, list[str]()
        self.fails: OverrideFailed | None = None

    async def __call__(
        self, words: tuple[str, ...], name: str, environment: Mapping[str, str], limit: float
    ) -> SecretStr:
        assert (words, limit) == (COMMAND, 10)
        assert environment == {"HOME": "/home/kim"}
        self.asked.append(name)
        if self.fails is not None:
            raise self.fails
        if name not in self.known:
            raise OverrideFailed("op ended with 1")
        return SecretStr(self.known[name])


def keeper(sync: Sync, ask: Vault, clock: Callable[[], float] | None = None) -> Overrides:
    environment = {"HOME": "/home/kim", "CONTINUE_API_KEY": "x"}
    return Overrides(sync, SECRETS, clock or Clock(), environment=environment, ask=ask)


def test_a_command_is_asked_for_each_known_name_and_what_it_does_not_have_is_told() -> None:
    """The Hub's value is served where there never was another; the problem is named, without a value."""
    sync, vault = made(), Vault(LLM_KEY=OWN)
    overrides = keeper(sync, vault)
    run(overrides.refresh)
    known = {question.fqsn.name for question in sync.state.records if isinstance(question, Secret)}
    assert set(vault.asked) == known
    assert resolved(sync, "LLM_KEY")["value"] == OWN
    assert USER_SECRETS["ANTHROPIC_API_KEY"] in listed(sync)
    (problem,) = overrides.problems
    assert problem.startswith("op ended with 1 for ACME_OPENAI_KEY, ANTHROPIC_API_KEY")
    assert problem.endswith("and others")


def test_a_value_that_can_no_longer_be_had_stays_for_as_long_as_the_hubs_would() -> None:
    """A vault that was locked over lunch must not mean another key; after max_stale it is gone, as told."""
    sync, vault, clock = made(), Vault(LLM_KEY=OWN), Clock()
    overrides = keeper(sync, vault, clock)
    run(overrides.refresh)
    vault.fails = Hopeless("op took longer than 10 s")
    vault.asked.clear()
    for clock.now in (NOW + 60, NOW + 6 * DAY):
        run(overrides.refresh)
        assert resolved(sync, "LLM_KEY")["value"] == OWN
        assert overrides.problems == ("op took longer than 10 s; what was left is asked for with the next pass",)
    assert len(vault.asked) == 2, "one name a pass tells that nothing can be had"
    clock.now = NOW + 8 * DAY
    run(overrides.refresh)
    assert sync.overrides == {}
    vault.fails = None
    run(overrides.refresh)
    assert resolved(sync, "LLM_KEY")["value"] == OWN


def test_a_new_name_is_asked_for_once_while_its_client_waits() -> None:
    """Names that mean something to a command are never asked for."""
    sync, vault = made(), Vault(NEW=OWN)
    overrides = keeper(sync, vault)

    async def asked() -> None:
        await overrides.refresh()
        vault.asked.clear()
        await overrides.learn_within(5, {"NEW", "OTHER", "--help", "../x", "a b"})
        await overrides.learn_within(5, {"NEW", "OTHER"})
        await overrides.close()

    run(asked)
    assert sorted(vault.asked) == ["NEW", "OTHER"]
    assert resolved(sync, "NEW")["value"] == OWN


def test_a_client_does_not_wait_for_a_command_that_hangs() -> None:
    """Its answer is made without; nothing is left running when the daemon ends."""
    sync = made()

    class Hangs(Vault):
        async def __call__(self, *_: object) -> SecretStr:
            await asyncio.sleep(60)
            raise AssertionError

    overrides = keeper(sync, Hangs())

    async def asked() -> None:
        await asyncio.wait_for(overrides.learn_within(0.05, {"NEW"}), 5)
        await overrides.close()

    run(asked)
    assert sync.overrides == {}


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    """A good one replaces all of the last; a bad one replaces nothing and is told."""
    path, sync = tmp_path / "own.env", made()
    overrides = Overrides(sync, replace(SECRETS, override=path), Clock())

    async def written(text: str, mode: int = 0o600) -> None:
        path.write_text(text)
        path.chmod(mode)
        overrides.look()
        await asyncio.gather(*overrides._tasks)

    async def changes() -> None:
        await overrides.refresh()
        assert overrides.problems == (f"{path} can't be read: No such file or directory",)
        await written(f"LLM_KEY={OWN}\nB=2\n")
        assert (overrides.problems, set(sync.overrides)) == ((), {"LLM_KEY", "B"})
        before = sync.snapshot
        overrides.look()
        assert not overrides._tasks
        await written(f"LLM_KEY={OWN}\noops\n")
        assert overrides.problems == (f"{path}:2: not of the form NAME=value",)
        assert sync.snapshot is before
        await written("C=3\n", 0o644)
        assert "can be used by others" in overrides.problems[0]
        assert set(sync.overrides) == {"LLM_KEY", "B"}
        await written("C=3\n")
        assert (overrides.problems, set(sync.overrides)) == ((), {"C"})
        overrides.configure(replace(SECRETS, override=None))
        assert sync.overrides == {}
        await overrides.close()

    run(changes)


@pytest.mark.parametrize("override", [None, Path("/nonexistent")])
def test_without_a_command_nothing_is_ever_started(override: Path | None) -> None:
    vault = Vault()
    overrides = Overrides(made(), replace(SECRETS, override=override), Clock(), ask=vault)

    async def work() -> None:
        await overrides.refresh()
        await overrides.learn({"NEW"})
        await overrides.learn_within(1, {"NEW"})
        await overrides.close()

    run(work)
    assert vault.asked == []
    assert overrides.source == (None if override is None else "file")
