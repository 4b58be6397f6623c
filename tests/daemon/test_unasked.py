"""Passes that nobody asked for: seldom while nothing waits for news, at once when a client finds something old."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from hublet.core import operations as ops
from hublet.core.pace import Surroundings
from hublet.demo.data import ACME
from hublet.demo.faults import Status
from tests.daemon.test_when_to_try import HOUR, MINUTE, scheduled
from tests.serve.test_api import fqsn

SLOW: dict[str, dict[str, object]] = {"sync": {"unasked": "slow"}}
LIST = "/ide/list-assistants"


def test_while_nobody_asks_passes_come_eight_times_less_often(tmp_path: Path) -> None:
    async def life() -> None:
        async with scheduled(tmp_path, SLOW) as here:
            assert all([108 * MINUTE <= await here.next() <= 132 * MINUTE for _ in range(3)])
            assert here.wholes == 4

    asyncio.run(life())


def test_a_client_that_finds_something_old_begins_a_pass_and_its_next_questions_are_of_it(tmp_path: Path) -> None:
    """One for all that an IDE asks at its start; a fresh answer begins none; the next one is counted from that."""

    async def life() -> None:
        async with scheduled(tmp_path, SLOW) as here:
            here.it.clock.advance(14 * MINUTE)
            assert "stale" not in str((await here.it.ask("GET", LIST)).header("Cache-Status"))
            await here.quiet()
            assert here.wholes == 1
            here.it.clock.advance(76 * MINUTE)
            for path in ("/ide/policy", "/ide/list-organizations", LIST, f"{LIST}?organizationId={ACME}"):
                assert "stale" in str((await here.it.ask("GET", path)).header("Cache-Status"))
            await here.quiet()
            assert [order.whole for order in here.it.orders] == [True, True]
            assert (await here.it.ask("GET", LIST)).header("Age") == "0"
            assert await here.next() >= 108 * MINUTE

    asyncio.run(life())


def test_what_no_pass_would_bring_begins_none(tmp_path: Path) -> None:
    """A package or a secret without a value is asked for alone, and those that come meanwhile together."""

    async def life() -> None:
        async with scheduled(tmp_path, SLOW) as here:
            path = "/registry/v1/anthropic/claude-sonnet-4/latest"
            missing = {"fqsns": [fqsn("dana/local-chat", "UNHEARD")], "orgScopeId": None}
            await here.it.ask("POST", "/ide/sync-secrets", missing)
            await here.it.ask("GET", "/ide/credits")
            here.it.orders.clear()
            here.it.clock.advance(20 * MINUTE)
            here.it.network.gate.clear()
            await here.it.ask("GET", path)
            await asyncio.sleep(0)
            for _ in range(3):
                await here.it.ask("POST", "/ide/sync-secrets", missing)
                await here.it.ask("GET", "/ide/credits")
            here.it.network.gate.set()
            await here.quiet()
            assert [(order.whole, [type(asked) for asked in order.ask]) for order in here.it.orders] == [
                (False, [ops.GetBlock]),
                (False, [ops.SyncSecrets, ops.GetCredits]),
            ]

    asyncio.run(life())


def test_who_listens_for_news_has_passes_as_usual(tmp_path: Path) -> None:
    """From the moment on that it begins to listen: what is overdue then begins at once."""

    async def life() -> None:
        async with scheduled(tmp_path, SLOW) as here:
            here.it.clock.advance(HOUR)
            listening = here.it.service.events.subscribe()
            assert await here.next() == 0
            assert await here.next() <= 16.5 * MINUTE
            listening.close()
            assert await here.next() <= 16.5 * MINUTE
            assert await here.next() >= 108 * MINUTE

    asyncio.run(life())


def test_exported_files_are_news_for_whoever_reads_them(tmp_path: Path) -> None:
    """They are read without a question."""

    async def life() -> None:
        async with scheduled(tmp_path, SLOW | {"export": {"directory": str(tmp_path / "out")}}) as here:
            assert await here.next() <= 16.5 * MINUTE

    asyncio.run(life())


def test_a_hub_that_is_away_is_looked_for_as_usual(tmp_path: Path) -> None:
    """So that whoever comes next finds it there; what is stale begins no pass meanwhile."""

    async def life() -> None:
        async with scheduled(tmp_path, SLOW) as here:
            here.it.network.up = False
            await here.next()
            assert here.it.sync.state.ledger.failures == 1
            before = here.wholes
            await here.it.ask("GET", LIST)
            await here.quiet()
            assert here.wholes == before
            assert all([await here.next() <= 16.5 * MINUTE for _ in range(9)])

    asyncio.run(life())


@pytest.mark.parametrize("on_battery", ["slow", "pause"])
def test_on_battery_its_own_setting_decides_what_a_stale_answer_leads_to(tmp_path: Path, on_battery: str) -> None:
    """`pause`: that question alone is asked. Else a pass, which costs no more than a few questions one by one."""

    async def life() -> None:
        settings: dict[str, dict[str, object]] = {"sync": {"unasked": "slow", "on_battery": on_battery}}
        async with scheduled(tmp_path, settings, Surroundings(on_battery=True)) as here:
            here.it.orders.clear()
            here.it.clock.advance(HOUR)
            await here.it.ask("GET", LIST)
            await here.quiet()
            assert [order.whole for order in here.it.orders] == [on_battery == "slow"]

    asyncio.run(life())


def test_a_hub_that_asked_to_wait_is_left_alone_however_old_an_answer_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor is anything said about it each time that a client comes."""

    async def life() -> None:
        async with scheduled(tmp_path, SLOW) as here:
            storm = here.it.hub.inject(Status(429, "Slow down", retry_after=3000), "/ide/policy")
            await here.next()
            here.it.hub.heal(storm)
            before, logged = len(here.it.orders), len(caplog.records)
            for _ in range(20):
                here.it.clock.advance(60)
                await here.it.ask("GET", LIST)
                await here.quiet()
            assert len(here.it.orders) == before
            assert len(caplog.records) == logged
            here.it.clock.advance(1800)
            await here.it.ask("GET", LIST)
            await here.quiet()
            assert len(here.it.orders) == before + 1

    asyncio.run(life())


def test_without_a_key_nothing_is_asked_however_old_an_answer_is(tmp_path: Path) -> None:
    async def life() -> None:
        async with scheduled(tmp_path, SLOW) as here:
            plan = here.it.sync.plan
            here.it.sync.configure(replace(plan, hub=replace(plan.hub, key=None)), here.it.sync.terms)
            here.it.clock.advance(HOUR)
            assert (await here.it.ask("GET", LIST)).status == 200
            assert here.passes._task is None
            await here.quiet()
            assert here.wholes == 1

    asyncio.run(life())


def test_never_by_itself_means_when_a_client_asks(tmp_path: Path) -> None:
    async def life() -> None:
        async with scheduled(tmp_path, {"sync": {"unasked": "pause"}}) as here:
            assert here.timer.due is None
            here.it.clock.advance(3 * HOUR)
            await here.it.ask("GET", LIST)
            await here.quiet()
            assert here.wholes == 2

    asyncio.run(life())


@pytest.mark.parametrize(
    ("settings", "most"),
    [({"secrets": {"max_stale": "1h"}}, 33 * MINUTE), ({"serve": {"ready_within": "90m"}}, 49.5 * MINUTE)],
)
def test_passes_come_in_time_for_what_has_to_be_confirmed(
    tmp_path: Path, settings: dict[str, dict[str, object]], most: float
) -> None:
    """Before secrets' values are withheld, and before it is no longer ready."""

    async def life() -> None:
        async with scheduled(tmp_path, SLOW | settings) as here:
            for _ in range(12):
                assert await here.next() <= most
                shown = await here.it.ask("GET", "/readyz")
                assert shown.status == 200
                assert not here.it.sync.snapshot._expired

    asyncio.run(life())
