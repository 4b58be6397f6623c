"""What is asked for behind a client's back, when something that the Hub counts has been spent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hublet.core import operations as ops
from hublet.core.passthrough import RULES, rule_for
from hublet.demo.data import ACME, DEMO_KEY
from hublet.serve.admission import SAME_USER
from tests.in_process import READER, InProcess, in_process
from tests.serve.synced import fqsn

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


# What is asked for when a client finds an answer old, whatever is shown of it

LIST = "/ide/list-assistants"
A_DAY = 86400.0


@pytest.mark.parametrize("why", ["locked", "expired", "reader"])
def test_what_is_shown_without_its_values_is_asked_for_like_any_other(tmp_path: Path, why: str) -> None:
    """While the cache is locked, after secrets.max_stale, and for a token that may not see them."""

    async def life() -> None:
        async with in_process(tmp_path, settings={"secrets": {"max_stale": "1h"}}) as it:
            await it.log_in()
            if why == "locked":
                await it.sync.lock()
            it.orders.clear()
            it.clock.advance(2 * 3600 if why == "expired" else 1000)
            it.sync.republish_if_due()
            response = await it.ask("GET", LIST, identity=READER if why == "reader" else SAME_USER)
            assert "secrets withheld" in str(response.header("Cache-Status"))
            while it.sync.refreshing.task is not None:
                await asyncio.sleep(0)
            assert asked(it) == [ops.ListAssistants(None, False)]

    asyncio.run(life())


def test_secrets_of_an_organization_by_its_slug_are_asked_for_in_that_organization(tmp_path: Path) -> None:
    """And kept there: the personal scope's secret of the same name stays as it is. What nobody can read is not sent."""

    async def life() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()
            one = fqsn("", "ANTHROPIC_API_KEY")
            personal: dict[str, object] = {"fqsns": [one], "orgScopeId": None}
            of_acme: dict[str, object] = {"fqsns": [one, {"of": "another shape"}], "orgScopeSlug": "acme"}
            before = await it.ask("POST", "/ide/sync-secrets", personal)
            await it.ask("POST", "/ide/sync-secrets", of_acme)
            it.orders.clear()
            it.clock.advance(A_DAY + 3600)
            assert "stale" in str((await it.ask("POST", "/ide/sync-secrets", of_acme)).header("Cache-Status"))
            while it.sync.refreshing.task is not None:
                await asyncio.sleep(0)
            assert asked(it) == [ops.SyncSecrets(ACME, None, (json.dumps(one, separators=(",", ":")),))]
            assert "stale" not in str((await it.ask("POST", "/ide/sync-secrets", of_acme)).header("Cache-Status"))
            assert (await it.ask("POST", "/ide/sync-secrets", personal)).body == before.body

    asyncio.run(life())


def test_what_no_pass_asks_for_is_asked_for_alone(tmp_path: Path) -> None:
    """A name that the Hub did not know when a client asked, and the proxied variant with sync.proxied: never."""

    async def life() -> None:
        async with in_process(tmp_path, settings={"sync": {"proxied": "never"}}) as it:
            await it.log_in()
            unknown, proxied = "/ide/get-assistant/acme/brand-new?alwaysUseProxy=false", f"{LIST}?alwaysUseProxy=true"
            for path in (unknown, proxied):
                await it.ask("GET", path)
            it.sync.refreshing.begin_pass = lambda: True
            it.orders.clear()
            for path in (unknown, proxied):
                await found(it, path, after=1000)
            assert [type(each) for each in asked(it)] == [ops.GetAssistant, ops.ListAssistants]

    asyncio.run(life())
