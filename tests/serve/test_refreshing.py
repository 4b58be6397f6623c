"""What is asked for behind a client's back, when something that the Hub counts has been spent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hublet.core import operations as ops
from hublet.core.passing import RULES, rule_for
from hublet.demo.data import DEMO_KEY
from tests.in_process import InProcess, in_process

TRIAL, CREDITS = "/ide/free-trial-status", "/ide/credits"
CHAT = {"model": "acme/house", "messages": [], "stream": True}
CHECKOUT = "/ide/get-models-add-on-checkout-url"


def told(path: Path, story: Callable[[InProcess], Awaitable[None]]) -> None:
    async def life() -> None:
        async with in_process(path) as it:
            await it.log_in()
            await it.ask("GET", CREDITS)
            it.orders.clear()
            await story(it)

    asyncio.run(life())


async def found(it: InProcess, path: str, *, after: float) -> str:
    """The Cache-Status that a client finds, and time for what it leads to."""
    it.clock.advance(after)
    response = await it.ask("GET", path)
    while it.sync.refreshing.task is not None:
        await asyncio.sleep(0)
    return str(response.header("Cache-Status"))


async def passed_through(it: InProcess, method: str, path: str, body: object = None) -> None:
    response = await it.ask(method, path, body, headers={"Authorization": f"Bearer {DEMO_KEY}"})
    if not isinstance(response.body, bytes):
        assert [piece async for piece in response.body]


def asked(it: InProcess) -> list[ops.Operation]:
    return [operation for order in it.orders for operation in order.ask]


def test_a_terminal_that_polls_the_trial_all_day_has_nothing_asked(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        for _ in range(24):
            assert "stale" not in await found(it, TRIAL, after=3599)
        assert it.orders == []

    told(tmp_path, story)


def test_a_request_to_a_model_makes_what_is_left_short_lived_until_it_was_asked_for(tmp_path: Path) -> None:
    """The trial's requests and the credits, as long as an answer may take; then they are good for long again."""

    async def story(it: InProcess) -> None:
        it.clock.advance(800)
        await passed_through(it, "POST", "/model-proxy/v1/chat/completions", CHAT)
        assert "stale" in await found(it, TRIAL, after=0)
        assert "stale" in await found(it, CREDITS, after=0)
        assert asked(it) == [ops.GetFreeTrialStatus(), ops.GetCredits()]
        assert "ttl=300" in await found(it, TRIAL, after=0)
        assert "stale" in await found(it, TRIAL, after=300)
        assert "ttl=86400" in await found(it, TRIAL, after=0)
        assert "stale" not in await found(it, TRIAL, after=86000)

    told(tmp_path, story)


def test_a_payment_comes_to_be_known_by_and_by(tmp_path: Path) -> None:
    """It is made in a browser: for an hour the credits are looked at each five minutes, if somebody wants to know."""

    async def story(it: InProcess) -> None:
        await passed_through(it, "GET", CHECKOUT)
        for _ in range(11):
            assert "stale" in await found(it, CREDITS, after=301)
        it.clock.advance(301)
        assert "stale" in await found(it, CREDITS, after=0)
        assert "stale" not in await found(it, CREDITS, after=301)
        assert set(asked(it)) == {ops.GetCredits()}
        assert "ttl=8" in await found(it, TRIAL, after=0)

    told(tmp_path, story)


@pytest.mark.parametrize(
    ("method", "path", "spends"),
    [
        ("POST", ("model-proxy", "v1", "chat", "completions"), "requests"),
        ("GET", ("ide", "get-models-add-on-checkout-url"), "credits"),
        ("POST", ("agents",), "credits"),
        ("GET", ("agents",), "nothing"),
        ("POST", ("agents", "devboxes", "7", "tunnel"), "nothing"),
        ("POST", ("auth", "refresh"), "nothing"),
        ("GET", ("proxy", "context", "drive", "list"), "nothing"),
    ],
)
def test_which_requests_spend(method: str, path: tuple[str, ...], spends: str) -> None:
    rule = rule_for(method, path, "listed")
    assert rule in RULES
    assert rule.spends == spends
