"""When a pass begins: the real schedule over the real sync and store, with a clock and a timer that the test moves."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from hublet.core import operations as ops
from hublet.core.pace import Surroundings
from hublet.demo.faults import Status
from hublet.serve.status import one_line, status
from tests.daemon.scheduled import DAY, HOUR, MINUTE, scheduled


def test_passes_come_in_their_interval(tmp_path: Path) -> None:
    """One at the start, then one in each quarter of an hour, give or take a tenth."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            assert here.wholes == 1
            waits = [await here.next() for _ in range(5)]
            assert here.wholes == 6
            assert all(13.5 * MINUTE <= wait <= 16.5 * MINUTE for wait in waits)
            assert len(set(waits)) == 5

    asyncio.run(life())


def test_a_login_is_one_pass_also_after_the_store_was_closed_and_opened_again(tmp_path: Path) -> None:
    """One more while a pass runs, since that one has the old key."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            account = here.it.service.account
            assert account is not None
            for _ in range(2):
                here.passes.soon()
                await here.passes.stop()
                here.it.orders.clear()
                here.passes.begin()
                await here.quiet()
                assert here.wholes == 1
                await here.it.service.keep_account(account)
                await here.quiet()
                assert here.wholes == 2
            here.passes.soon()
            await here.it.service.keep_account(account)
            await here.quiet()
            assert here.wholes == 4

    asyncio.run(life())


@pytest.mark.slow
def test_a_hub_that_is_down_for_a_week_is_asked_by_the_backoff_and_no_more(tmp_path: Path) -> None:
    """Quickly at first; then on average twice in an interval (full jitter), day after day, however often clients ask
    for what is stale. The first success ends it: back to the interval."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            reached = here.it.sync._run
            here.go_away()
            start = here.it.clock.now
            a_day = Counter[int]()
            gaps = [await here.next() for _ in range(8)]
            while here.it.clock.now - start < 7 * DAY:
                before = here.wholes
                await here.next()
                await here.it.ask("GET", "/ide/list-assistants")
                await here.quiet()
                assert here.wholes == before + 1
                a_day[int((here.it.clock.now - start) // DAY)] += 1
            assert [gap <= 30 * 2 ** max(0, n - 1) for n, gap in enumerate(gaps)][1:] == [True] * 7
            assert all(160 <= count <= 230 for day, count in a_day.items() if 0 < day < 7), a_day
            assert len(here.it.orders) == here.wholes, "clients cause no asking while the Hub is away"

            here.it.sync._run = reached
            await here.next()
            assert here.it.sync.state.ledger.failures == 0
            assert await here.next() >= 13.5 * MINUTE

    asyncio.run(life())


def test_the_network_comes_back_and_one_pass_begins_at_once(tmp_path: Path) -> None:
    """Said ten times, it is one; and what failed without a network does not put the next try off."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            here.it.network.up = False
            for _ in range(12):
                await here.next()
            here.it.network.up = True
            before = here.wholes
            for _ in range(10):
                here.passes.network_back()
            await here.quiet()
            assert here.wholes == before + 1
            assert here.it.sync.state.ledger.failures == 0

    asyncio.run(life())


@pytest.mark.slow
def test_a_network_that_is_back_before_its_names_are_is_tried_again_soon(tmp_path: Path) -> None:
    """After hours without one the backoff begins anew: it is not the Hub's failing that was counted."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            here.it.network.up = False
            for _ in range(12):
                await here.next()
            here.passes.network_back()
            await here.quiet()
            assert here.it.sync.state.ledger.failures == 13
            assert await here.next() <= 30

    asyncio.run(life())


@pytest.mark.slow
def test_a_network_that_comes_and_goes_causes_fewer_and_fewer_passes(tmp_path: Path) -> None:
    """Every second for an hour, with a Hub that stays away: not 3600 passes but as a backoff has it."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            here.go_away()
            before = here.wholes
            for _ in range(3600):
                here.it.clock.advance(1)
                if here.timer.due is not None:
                    here.timer.due = (here.timer.due[0] - 1, here.timer.due[1])
                    if here.timer.due[0] <= 0:
                        here.timer.due[1]()
                here.passes.network_back()
                await here.quiet()
            assert 7 <= here.wholes - before <= 30

    asyncio.run(life())


def test_a_return_during_a_pass_that_fails_is_not_missed(tmp_path: Path) -> None:
    """The pass that runs began before there was a network: another follows it. One that succeeds is enough."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            for up, more in ((False, 2), (True, 1)):
                before = here.wholes
                here.it.network.up = False
                here.passes.soon()
                await asyncio.sleep(0)
                here.it.network.up = up
                here.passes.network_back()
                here.passes.network_back()
                await here.quiet()
                assert here.wholes == before + more
                here.it.network.up = True
                await here.next()

    asyncio.run(life())


def test_a_client_that_the_hub_answers_again_ends_the_waiting(tmp_path: Path) -> None:
    """Its own question, never asked before, is answered while passes had failed: a whole pass begins at once."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            here.it.network.up = False
            for _ in range(5):
                await here.next()
            here.it.network.up = True
            here.it.clock.advance(11)  # for a moment clients are told at once that the Hub is away
            before = here.wholes
            response = await here.it.ask("GET", "/registry/v1/continuedev/never-asked/latest")
            assert response.status in (200, 404)
            await here.quiet()
            assert here.wholes == before + 1
            assert here.it.sync.state.ledger.failures == 0
            # While all is well no question causes a pass.
            await here.it.ask("GET", "/registry/v1/continuedev/never-asked-either/latest")
            await here.quiet()
            assert here.wholes == before + 1

    asyncio.run(life())


@pytest.mark.slow
def test_a_hub_that_answers_clients_but_no_pass_is_not_asked_in_a_loop(tmp_path: Path) -> None:
    """A hundred answers to clients in ten minutes, while every pass fails."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            here.it.network.up = False
            for _ in range(5):
                await here.next()
            before = here.wholes
            for _ in range(100):
                here.it.clock.advance(6)
                here.passes.hub_back()
                await here.quiet()
            assert 1 <= here.wholes - before <= 6

    asyncio.run(life())


@pytest.mark.slow
def test_a_retry_after_is_kept_to_whatever_comes_back(tmp_path: Path) -> None:
    """Neither a network nor a machine that wakes asks a Hub that wants to be left alone."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            with here.it.hub.failing(Status(503, retry_after=1800), "/"):
                await here.next()
            before = here.wholes
            here.passes.network_back()
            here.passes.woken()
            await here.quiet()
            assert here.wholes == before
            assert await here.next() > 25 * MINUTE

    asyncio.run(life())


@pytest.mark.parametrize("reason", ["on_battery", "metered"])
def test_on_battery_intervals_stretch_and_shrink_again(tmp_path: Path, reason: str) -> None:
    """Eight times as long, said in status; back on the plug what is overdue begins at once."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            here.change(**{reason: True})
            shown = status(here.it.service)
            assert shown["pace"] == "slow"
            assert shown[reason] is True
            assert 108 * MINUTE <= float(str(shown["next_pass_in"])) <= 132 * MINUTE
            assert one_line(here.it.service).endswith(f"({here.look})")
            assert 108 * MINUTE <= await here.next() <= 132 * MINUTE
            here.it.clock.advance(30 * MINUTE)
            before = here.wholes
            here.change(**{reason: False})
            assert await here.next() == 0
            assert here.wholes == before + 1
            assert status(here.it.service)["pace"] == "normal"

    asyncio.run(life())


@pytest.mark.slow
def test_a_plug_put_in_and_out_puts_no_pass_off(tmp_path: Path) -> None:
    """Intervals count from the last pass, whatever has happened since."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            for minute in range(13):
                here.it.clock.advance(MINUTE)
                here.change(on_battery=minute % 2 == 0)
            here.change(on_battery=False)
            assert await here.next() <= 3.5 * MINUTE

    asyncio.run(life())


@pytest.mark.slow
def test_a_clock_that_is_set_back_does_not_end_the_syncing(tmp_path: Path) -> None:
    """By a year: the next pass is an interval away at most."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            here.it.clock.advance(-365 * DAY)
            here.change(on_battery=True)
            here.change(on_battery=False)
            assert await here.next() <= 16.5 * MINUTE

    asyncio.run(life())


def test_paused_on_battery_only_clients_and_people_ask(tmp_path: Path) -> None:
    """No pass by itself, when the machine wakes or the network is back. A stale question asks that question alone;
    `hublet sync` everything. Back on the plug the schedule goes on."""

    async def life() -> None:
        settings = {"sync": {"on_battery": "pause"}}
        async with scheduled(tmp_path, settings, Surroundings(on_battery=True)) as here:
            assert here.wholes == 0
            assert here.timer.due is None
            assert status(here.it.service)["next_pass_in"] is None
            assert one_line(here.it.service).endswith("no sync by itself (on battery)")
            here.it.clock.advance(2 * HOUR)
            here.passes.woken()
            here.passes.network_back()
            await here.quiet()
            assert here.it.orders == []

            await here.it.ask("GET", "/ide/list-assistants")
            await here.quiet()
            assert [(order.whole, order.ask) for order in here.it.orders] == [
                (False, (ops.ListAssistants(None, False),))
            ]
            await here.it.sync.run_pass(force=True)
            assert here.wholes == 1

            here.change(on_battery=False)
            assert await here.next() <= 16.5 * MINUTE
            assert here.wholes == 2

    asyncio.run(life())


@pytest.mark.slow
def test_paused_and_offline_a_stale_question_finds_out_that_the_hub_is_back(tmp_path: Path) -> None:
    """No pass would: clients' askings do, and one pass follows the first answer, so that status tells the truth."""

    async def life() -> None:
        settings = {"sync": {"on_battery": "pause"}}
        async with scheduled(tmp_path, settings, Surroundings(on_battery=True)) as here:
            here.it.network.up = False
            await here.it.sync.run_pass(force=True)
            here.it.orders.clear()
            for _ in range(40):
                here.it.clock.advance(MINUTE)
                await here.it.ask("GET", "/ide/policy")
                await here.quiet()
            assert here.wholes == 0
            assert len(here.it.orders) <= 40
            here.it.network.up = True
            here.it.clock.advance(2 * MINUTE)
            await here.it.ask("GET", "/ide/policy")
            await here.quiet()
            assert here.wholes == 1
            assert status(here.it.service)["state"] == "ok"

    asyncio.run(life())
