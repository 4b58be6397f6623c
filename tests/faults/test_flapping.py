"""A Hub that comes and goes, second by second or request by request: nothing is lost, and it is not stormed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from tests.in_process import HubTransport, in_process, text

from hublet.core.pace import next_pass_in
from hublet.demo.faults import Html, Status

ASKED = (
    "/ide/list-assistants",
    "/ide/list-assistants?organizationId=org_acme",
    "/ide/policy",
    "/ide/list-organizations",
)
A_WHILE, STEP = 6 * 3600, 7
INTERVAL = 900.0


class Seconds(HubTransport):
    """There in even seconds only."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.up = self.well or int(self.hub.clock()) % 2 == 0
        return await super().handle_async_request(request)

    well = True


class Requests(HubTransport):
    """Each request meets something else: an answer, nobody, a portal, a 429, a 503."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self.well:
            self.turn += 1
            self.up = self.turn % 5 != 1
            self.hub.heal()
            fault = {2: Html(), 3: Status(429, "Slow down", retry_after=30), 4: Status(503, "Busy")}.get(self.turn % 5)
            if fault is not None:
                self.hub.inject(fault)
        return await super().handle_async_request(request)

    well = True
    turn = 0


async def flapping(path: Path, transport: type[HubTransport]) -> tuple[int, int]:
    """Six hours of it, with clients that ask all the time and passes when they are due; how often the Hub was asked for
    anything, and how many passes there were."""
    async with in_process(path, transport=transport) as it:
        await it.log_in()
        good = [text(await it.ask("GET", target)) for target in ASKED]
        it.hub.forget_requests()
        it.network.well = False  # type: ignore[attr-defined]
        it.orders.clear()
        due = it.clock() + INTERVAL
        for _ in range(A_WHILE // STEP):
            it.clock.advance(STEP)
            if it.clock() >= due:
                await it.sync.run_pass()
                wait = next_pass_in(it.sync.state.ledger, it.clock(), interval=INTERVAL, chance=0.5)
                assert wait is not None
                due = it.clock() + wait
            for target in ASKED:
                assert it.at_once("GET", target), "no client waits for it"
            if int(it.clock()) % 600 < STEP:
                assert [text(await it.ask("GET", target)) for target in ASKED] == good
                await asyncio.sleep(0)
        it.network.well = True  # type: ignore[attr-defined]
        it.hub.heal()
        it.network.up = True
        it.clock.advance(3600)
        seen, passes = len(it.hub.requests), sum(order.whole for order in it.orders)
        await it.sync.run_pass()
        assert [text(await it.ask("GET", target)) for target in ASKED] == good
        assert it.sync.state.ledger.held == {}
        assert it.sync.state.ledger.troubles == {}
        return seen, passes


@pytest.mark.slow
@pytest.mark.parametrize("transport", [Seconds, Requests])
def test_a_hub_that_flaps_loses_nothing_and_is_asked_no_more_than_one_that_stands(
    tmp_path: Path, transport: type[HubTransport]
) -> None:
    """Six hours: about a pass an interval (or fewer), and what clients find stale at most once a minute each."""
    seen, passes = asyncio.run(flapping(tmp_path, transport))
    usual = A_WHILE / INTERVAL
    assert 5 <= passes <= 2 * usual
    assert seen <= passes * 45 + len(ASKED) * A_WHILE / 60
