"""Another account, or another Hub, while a pass or a client's question waits for the one before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hublet.core.account import Account, origin_of
from hublet.core.errors import StoreError
from hublet.core.secretstr import SecretStr
from hublet.serve.admin import Admin
from tests.daemon.scheduled import MINUTE, Scheduled, scheduled
from tests.in_process import text

OTHER = "con_other_0123456789"
LIST = "/ide/list-assistants"


def waiting(
    path: Path, story: Callable[[Scheduled, Callable[[], None]], Awaitable[None]], begin: str = "client"
) -> None:
    """A story of a hublet with a pass that waits at the Hub; the other argument lets it go on."""

    async def life() -> None:
        async with scheduled(path, {"sync": {"unasked": "slow"}}) as here:
            here.it.hub.edit_assistant("dana/rust-smith", "Rust Smith", "Edited for the old account")
            here.it.clock.advance(20 * MINUTE)
            here.it.orders.clear()
            here.it.network.gate.clear()
            if begin == "client":
                await here.it.ask("GET", LIST)
            task = asyncio.ensure_future(here.it.sync.run_pass(force=True)) if begin == "sync" else None
            while not here.it.network.waiting:
                await asyncio.sleep(0.001)
            await story(here, here.it.network.gate.set)
            here.it.network.gate.set()
            if task is not None:
                await task
            await here.quiet()

    asyncio.run(life())


async def log_in(here: Scheduled, key: str, *, fresh: bool = False) -> None:
    body = json.dumps({"key": key, "fresh": fresh}).encode()
    assert (await Admin(here.it.service).handle("POST", ("login",), body)).status == 200


def keys_of_passes(here: Scheduled) -> list[str]:
    return [order.hub.key.reveal() for order in here.it.orders if order.whole and order.hub.key is not None]


@pytest.mark.parametrize("followed", [False, True])
def test_a_login_while_a_sync_runs_has_a_pass_of_its_own(tmp_path: Path, followed: bool) -> None:
    """One, for the schedule and for a sync that follows the login; what the old key was told is not kept."""

    async def story(here: Scheduled, go_on: Callable[[], None]) -> None:
        here.it.hub.accept_key(OTHER)
        await log_in(here, OTHER)
        own = asyncio.ensure_future(here.it.sync.run_pass(force=True)) if followed else None
        await asyncio.sleep(0.01)
        go_on()
        if own is not None:
            summary = await own
            assert summary.problems == ()
            assert summary.answered == summary.asked > 5
        await here.quiet()
        assert keys_of_passes(here)[1:] == [OTHER]
        assert not here.it.orders[-1].rested

    waiting(tmp_path, story, begin="sync")


@pytest.mark.parametrize("begin", ["client", "sync"])
def test_nothing_of_an_account_comes_back_after_a_fresh_login(tmp_path: Path, begin: str) -> None:
    """Its pass was waiting for the Hub. The new account's key is refused, so that nothing else may be there."""

    async def story(here: Scheduled, go_on: Callable[[], None]) -> None:
        await log_in(here, OTHER, fresh=True)
        go_on()
        await here.quiet()
        assert here.it.sync.state.records == {}
        answer = await here.it.ask("GET", LIST)
        assert answer.status == 503
        assert "old account" not in text(answer)
        assert keys_of_passes(here)[1:] == [OTHER]

    waiting(tmp_path, story, begin)


def test_a_clients_question_to_the_old_account_is_neither_kept_nor_joined(tmp_path: Path) -> None:
    async def life() -> None:
        async with scheduled(tmp_path) as here:
            here.it.network.gate.clear()
            path = "/ide/get-assistant/anthropic/sonnet"
            first = asyncio.ensure_future(here.it.ask("GET", path))
            while not here.it.network.waiting:
                await asyncio.sleep(0.001)
            await log_in(here, OTHER, fresh=True)
            second = asyncio.ensure_future(here.it.ask("GET", path))
            while here.it.network.waiting < 2:
                await asyncio.sleep(0.001)
            here.it.network.gate.set()
            assert (await first).status == 503
            assert (await second).status == 503
            await here.quiet()
            assert here.it.sync.state.records == {}

    asyncio.run(life())


def test_a_report_that_waits_to_be_judged_is_dropped_too(tmp_path: Path) -> None:
    """The key was replaced while something else was being judged."""

    async def story(here: Scheduled, go_on: Callable[[], None]) -> None:
        sync = here.it.sync
        async with sync._settling:
            go_on()
            while not sync._settles:
                await asyncio.sleep(0.001)
            plan = sync.plan
            sync.configure(replace(plan, hub=replace(plan.hub, key=SecretStr(OTHER))), sync.terms)
        await asyncio.gather(*sync._settles)
        assert "old account" not in text(await here.it.ask("GET", LIST))

    waiting(tmp_path, story)


def test_nothing_is_asked_with_the_old_key_until_the_new_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that can't keep it leaves the old account logged in, with nothing cached."""

    async def life() -> None:
        async with scheduled(tmp_path) as here:
            it, closed = here.it, []

            def full(*_: object) -> None:
                closed.append(it.sync.plan.hub.closed)
                raise StoreError("the disk is full")

            assert it.service.archive is not None
            monkeypatch.setattr(it.service.archive, "keep", full)
            with pytest.raises(StoreError):
                await log_in(here, OTHER, fresh=True)
            assert closed == [True]
            assert it.sync.state.records == {}
            await it.sync.run_pass()
            assert it.sync.state.records

    asyncio.run(life())


def test_a_pass_outlives_other_changes_of_the_config(tmp_path: Path) -> None:
    """Another patience with the Hub makes no other account."""

    async def story(here: Scheduled, go_on: Callable[[], None]) -> None:
        plan = here.it.sync.plan
        account = Account(SecretStr(plan.hub.key.reveal()), origin_of(plan.hub.url)) if plan.hub.key else None
        assert account is not None
        here.it.sync.configure(replace(plan, hub=replace(plan.hub, timeout=7.0)), here.it.sync.terms)
        await here.it.service.keep_account(account)
        go_on()
        await here.quiet()
        assert "Edited for the old account" in text(await here.it.ask("GET", LIST))

    waiting(tmp_path, story)
