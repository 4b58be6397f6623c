"""A key goes to the origin that it was stored for, and to no other: also while hub.url changes, and when that fails."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hublet.config.loading import parse_config
from hublet.core.account import Account
from hublet.core.errors import StoreError
from hublet.core.secretstr import SecretStr
from hublet.demo.data import DEMO_KEY
from hublet.host.notify import Notifier
from hublet.opening import plan_of
from hublet.serve.admin import Admin
from hublet.serve.front import Front
from hublet.store.archive import Archive
from hublet.tending import Tending
from hublet.upstream.forward import Forwarder
from hublet.upstream.order import Hub
from tests.in_process import HUB_URL, InProcess, in_process

ELSEWHERE = "https://other.example"
OTHER_KEY = "con_of_another_login"


@dataclass
class Tended:
    """A hublet whose config file is read when the test says so. `hub` is the Hub that passes ask, `lent` the one that
    requests are passed through to with the account's key."""

    it: InProcess
    tending: Tending
    file: Path

    def change(self, url: str, *, parallel: int = 4) -> None:
        """Write another config and have it read."""
        before = self.file.read_text().partition("sync:")[0]
        now = before.replace(self.it.service.config.hub.url, url)
        self.file.write_text(f"{now}sync:\n  parallel: {parallel}\n")
        self.tending.hung_up()

    @property
    def url(self) -> str:
        return self.it.service.config.hub.url

    @property
    def archive(self) -> Archive:
        assert self.it.service.archive is not None
        return self.it.service.archive

    @property
    def asked(self) -> tuple[str, str | None]:
        """Where passes go, and with which key."""
        return said(self.it.sync.plan.hub)

    @property
    def lent(self) -> tuple[str, str | None]:
        """Where requests are passed through to, and with which key of the account's."""
        return said(plan_of(self.it.service.config, self.it.service.account).hub)


def said(hub: Hub) -> tuple[str, str | None]:
    return hub.url, hub.key.reveal() if hub.key is not None else None


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)


class Gate:
    """Holds what a function of the store has done, in its thread, until it is opened."""

    def __init__(self, archive: Archive, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self._open = threading.Event(), threading.Event()
        real = getattr(archive, name)

        def held(*given: Any) -> Any:
            try:
                return real(*given)
            finally:
                self.reached.set()
                assert self._open.wait(10)

        monkeypatch.setattr(archive, name, held)

    def open(self) -> None:
        self._open.set()


@asynccontextmanager
async def tended(path: Path) -> AsyncIterator[Tended]:
    async with in_process(path, settings={"serve": {"passthrough_as_account": "true"}}) as it:
        await it.log_in()
        file = path / "config.yaml"
        tending = Tending(
            it.service,
            Front(it.service, Forwarder(lambda: plan_of(it.service.config, it.service.account).hub)),
            environment={},
            file=file,
            seen=None,
            notifier=Notifier(),
            pulse=30.0,
            clock=it.clock,
        )
        try:
            yield Tended(it, tending, file)
        finally:
            await tending.stop()


@pytest.mark.parametrize(
    ("url", "goes"),
    [
        ("https://hub.example", True),
        ("https://hub.example:443/v1", True),
        ("https://hub.example:8443", False),
        ("https://hub.example.org", False),
        ("http://localhost", False),
        ("file:///srv/hub", False),
    ],
)
def test_a_plan_has_the_key_of_its_own_origin_only(url: str, goes: bool) -> None:
    """Scheme, host and port are compared, the path is not; a folder takes no key."""
    account = Account(SecretStr(DEMO_KEY), "https://hub.example:443")
    plan = plan_of(parse_config(f"hub:\n  url: {url}\n", "x"), account)
    assert (plan.hub.key is not None) is goes


def test_the_key_stays_here_while_the_url_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every moment either the old URL has the key or the new one has none; passes and pass-through alike."""

    async def scenario() -> None:
        async with tended(tmp_path) as hublet:
            assert hublet.asked == hublet.lent == (HUB_URL, DEMO_KEY)
            gate = Gate(hublet.archive, "load", monkeypatch)
            hublet.change(ELSEWHERE)
            await until(gate.reached.is_set)
            assert hublet.lent in ((HUB_URL, DEMO_KEY), (ELSEWHERE, None))
            assert hublet.asked in ((HUB_URL, DEMO_KEY), (ELSEWHERE, None))
            gate.open()
            await until(lambda: hublet.url == ELSEWHERE)
            assert hublet.asked == hublet.lent == (ELSEWHERE, None)
            assert not hublet.it.service.has_hub
            hublet.change(HUB_URL)
            await until(lambda: hublet.url == HUB_URL)
            assert hublet.asked == hublet.lent == (HUB_URL, DEMO_KEY)

    asyncio.run(scenario())


def test_a_url_that_is_refused_gets_no_key_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that can't be read refuses the config as a whole; what comes after it does not bring half of it."""

    async def scenario() -> None:
        async with tended(tmp_path) as hublet:

            def broken() -> None:
                raise StoreError("the cache can't be read: Input/output error")

            with monkeypatch.context() as patch:
                patch.setattr(hublet.archive, "load", broken)
                hublet.change(ELSEWHERE)
                await until(lambda: bool(hublet.it.service.config_problems))
            assert hublet.url == HUB_URL
            assert hublet.asked == hublet.lent == (HUB_URL, DEMO_KEY)
            hublet.change(ELSEWHERE, parallel=5)
            await until(lambda: not hublet.it.service.config_problems)
            assert hublet.asked == hublet.lent == (ELSEWHERE, None)

    asyncio.run(scenario())


def test_a_login_that_the_url_overtakes_is_of_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is kept for the origin that hub.url had when it was given, and is used when that comes back."""

    async def scenario() -> None:
        async with tended(tmp_path) as hublet:
            with monkeypatch.context() as patch:
                gate = Gate(hublet.archive, "keep", patch)
                body = b'{"key": "%s"}' % OTHER_KEY.encode()
                login = asyncio.create_task(Admin(hublet.it.service).handle("POST", ("login",), body))
                await until(gate.reached.is_set)
                hublet.change(ELSEWHERE)
                await until(lambda: hublet.url == ELSEWHERE)
                gate.open()
                assert (await login).status == 200
            assert hublet.asked == hublet.lent == (ELSEWHERE, None)
            assert not hublet.it.service.has_hub
            hublet.change(HUB_URL)
            await until(lambda: hublet.url == HUB_URL)
            assert hublet.asked == hublet.lent == (HUB_URL, OTHER_KEY)

    asyncio.run(scenario())


@pytest.mark.parametrize("fresh", [False, True])
def test_a_login_that_fails_does_not_bring_the_old_url_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    """The config that has come meanwhile stays; where none has come, the old key goes on."""

    async def scenario() -> None:
        async with tended(tmp_path) as hublet:

            def full(*_: object) -> None:
                raise StoreError("the disk is full")

            body = json.dumps({"key": OTHER_KEY, "fresh": fresh}).encode()
            with monkeypatch.context() as patch:
                patch.setattr(hublet.archive, "keep", full)
                with pytest.raises(StoreError):
                    await Admin(hublet.it.service).handle("POST", ("login",), body)
                assert hublet.asked == hublet.lent == (HUB_URL, DEMO_KEY)

                gate = Gate(hublet.archive, "keep", patch)
                login = asyncio.create_task(Admin(hublet.it.service).handle("POST", ("login",), body))
                await until(gate.reached.is_set)
                hublet.change(ELSEWHERE)
                await until(lambda: hublet.url == ELSEWHERE)
                gate.open()
                with pytest.raises(StoreError):
                    await login
            assert hublet.asked == hublet.lent == (ELSEWHERE, None)

    asyncio.run(scenario())


def test_a_login_is_not_undone_by_another_path_of_the_same_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The origin stays, and with it the account: one that logs in meanwhile is the one in use."""

    async def scenario() -> None:
        async with tended(tmp_path) as hublet:
            gate = Gate(hublet.archive, "load", monkeypatch)
            hublet.change(f"{HUB_URL}/v2")
            await until(lambda: gate.reached.is_set() or hublet.url == f"{HUB_URL}/v2")
            body = b'{"key": "%s"}' % OTHER_KEY.encode()
            assert (await Admin(hublet.it.service).handle("POST", ("login",), body)).status == 200
            gate.open()
            await until(lambda: hublet.url == f"{HUB_URL}/v2")
            await asyncio.sleep(0.05)
            assert hublet.asked == hublet.lent == (f"{HUB_URL}/v2", OTHER_KEY)

    asyncio.run(scenario())
