"""Passes that nobody asked for: seldom while nothing waits for news, at once when a client finds something old."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hublet.core import operations as ops
from hublet.core.outcomes import PassReport, Unreachable
from hublet.core.pace import Surroundings
from hublet.demo.data import ACME
from hublet.demo.faults import Status
from hublet.upstream.order import Ordered, Word
from tests.daemon.scheduled import HOUR, MINUTE, scheduled
from tests.serve.synced import fqsn

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


@pytest.mark.parametrize("max_stale", ["20m", "1h", "2h", "4h", "8h"])
def test_no_value_expires_between_passes_while_the_hub_is_well(tmp_path: Path, max_stale: str) -> None:
    """However short they are good for: what a pass lets rest is asked for in time by one of the next."""

    async def life() -> None:
        async with scheduled(tmp_path, SLOW | {"secrets": {"max_stale": max_stale}}) as here:
            for _ in range(40):
                assert here.timer.due is not None
                until = here.timer.due[0] - 1
                here.it.clock.advance(until)
                here.it.sync.republish_if_due()
                assert not here.it.sync.snapshot._expired
                here.it.clock.advance(-until)
                await here.next()

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


# What somebody else's pass, or a time to wait, means for the schedule


@pytest.mark.parametrize("unasked", ["slow", "pause"])
def test_after_a_sync_that_failed_the_hub_is_looked_for_as_after_any_failure(tmp_path: Path, unasked: str) -> None:
    """`hublet sync` is not the schedule's own pass. Clients begin none while the Hub is away; the schedule has to."""

    async def life() -> None:
        async with scheduled(tmp_path, {"sync": {"unasked": unasked}}) as here:
            here.it.clock.advance(20 * MINUTE)
            here.it.network.up = False
            await here.it.sync.run_pass(force=True)
            here.it.network.up = True
            assert await here.next() <= MINUTE
            assert here.it.sync.state.ledger.failures == 0

    asyncio.run(life())


def test_a_pass_that_has_to_wait_for_the_hub_comes_when_that_time_is_over(tmp_path: Path) -> None:
    """Not an interval later, whether the machine woke or somebody logged in meanwhile."""

    async def life() -> None:
        async with scheduled(tmp_path, SLOW) as here:
            with here.it.hub.failing(Status(429, retry_after=60), "/ide/policy"):
                await here.next()
            here.it.clock.advance(5)
            before = here.wholes
            here.passes.woken()
            here.change(metered=True)
            await here.quiet()
            assert here.wholes == before
            assert await here.next() == pytest.approx(55)
            assert here.wholes == before + 1

    asyncio.run(life())


def test_a_clock_that_is_set_back_is_noticed_and_everything_asked_for(tmp_path: Path) -> None:
    """What is dated in the future is not taken for new: a client's question begins a pass, if nothing else does."""

    async def life() -> None:
        async with scheduled(tmp_path, SLOW) as here:
            here.it.clock.advance(-5 * HOUR)
            here.it.hub.edit_assistant("dana/rust-smith", "Rust Smith", "Edited since")
            assert "stale" in str((await here.it.ask("GET", LIST)).header("Cache-Status"))
            await here.quiet()
            assert b"Edited since" in (await here.it.ask("GET", LIST)).body  # type: ignore[operator]
            assert here.wholes == 2
            assert await here.next() <= 132 * MINUTE

    asyncio.run(life())


def test_a_pass_that_breaks_off_is_put_off_like_one_that_failed(tmp_path: Path) -> None:
    """Its worker may end the same way each time (too large a list): clients that poll don't start one after another.
    The next one that comes to its end asks for everything, if none had before."""

    async def life() -> None:
        async with scheduled(tmp_path, SLOW) as here:
            run, begun = here.it.sync._run, 0

            async def breaks_off(ordered: Ordered, say: Callable[[Word], None]) -> PassReport:
                nonlocal begun
                begun += 1
                told = (await run(ordered, say)).outcomes[:1]
                return PassReport((*told, (ops.GetPolicy(), Unreachable("it ended early"))), whole=False, broken=True)

            here.it.sync._run, here.it.sync._all_due = breaks_off, True
            here.it.clock.advance(20 * MINUTE)
            for _ in range(240):
                await here.it.ask("GET", LIST)
                await here.quiet()
                here.it.clock.advance(5)
            assert begun == 1
            assert here.it.sync.state.ledger.failures == 1
            here.it.sync._run = run
            await here.next()
            assert here.it.orders[-1].secrets
            assert here.it.orders[-1].rested == frozenset()

    asyncio.run(life())


def test_what_passes_ask_once_a_day_is_not_late_before(tmp_path: Path) -> None:
    """What `cn` asks for without an assistant, too; and nobody waits for a variant that no pass asks for."""

    async def life() -> None:
        settings = {"sync": {"unasked": "slow", "proxied": "never"}}
        async with scheduled(tmp_path, settings) as here:
            await here.it.ask("GET", f"{LIST}?alwaysUseProxy=true")
            for _ in range(16):
                await here.next()
                here.it.service.look()
            assert [event for event in here.it.service.events.since(0) if event.kind == "stale"] == []

    asyncio.run(life())
