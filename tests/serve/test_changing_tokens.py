"""Local tokens are made and revoked one at a time: memory and disk agree, and a revoked token never comes back."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hublet.core.errors import HubletError, StoreError
from hublet.door.tokens import all_from_plain
from hublet.serve.admin import Admin
from hublet.serve.service import Service
from tests.in_process import InProcess, in_process


@asynccontextmanager
async def with_a_token(path: Path) -> AsyncIterator[InProcess]:
    """A hublet with one token, `old`."""
    async with in_process(path) as it:
        await make(it.service, "old")
        yield it


async def make(service: Service, name: str) -> None:
    body = {"name": name, "scope": "secrets", "expires_in": None}
    assert (await Admin(service).handle("POST", ("tokens",), json.dumps(body).encode())).status == 200


async def revoke(service: Service, name: str) -> None:
    assert (await Admin(service).handle("DELETE", ("tokens", name), b"")).status == 200


def names(service: Service) -> list[str]:
    """The tokens that let somebody in: the same ones as are sealed."""
    assert service.archive is not None
    sealed = all_from_plain(service.archive.load().documents["tokens"])
    assert sealed == service.tokens
    return [token.name for token in sealed]


class Slow:
    """A disk that takes its time: every write waits until it is let go."""

    def __init__(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        assert service.archive is not None
        self.reached, self._go = threading.Event(), threading.Event()
        real: Callable[..., None] = service.archive.keep

        def keep(*given: Any) -> None:
            self.reached.set()
            assert self._go.wait(10)
            real(*given)

        monkeypatch.setattr(service.archive, "keep", keep)

    async def begun(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, 10)

    def go(self) -> None:
        self._go.set()


def test_a_token_that_is_made_meanwhile_does_not_bring_a_revoked_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with with_a_token(tmp_path) as it:
            disk = Slow(it.service, monkeypatch)
            revoking = asyncio.create_task(revoke(it.service, "old"))
            await disk.begun()
            making = asyncio.create_task(make(it.service, "new"))
            await asyncio.sleep(0.05)
            disk.go()
            await asyncio.gather(revoking, making)
            assert names(it.service) == ["new"]

    asyncio.run(scenario())


def test_two_makers_do_not_lose_each_others_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do they get one name twice."""

    async def scenario() -> None:
        async with with_a_token(tmp_path) as it:
            disk = Slow(it.service, monkeypatch)
            making = [asyncio.create_task(make(it.service, name)) for name in ("a", "b", "a")]
            await disk.begun()
            await asyncio.sleep(0.05)
            disk.go()
            *made, refused = await asyncio.gather(*making, return_exceptions=True)
            assert made == [None, None]
            assert isinstance(refused, HubletError)
            assert "already" in refused.message
            assert names(it.service) == ["old", "a", "b"]

    asyncio.run(scenario())


def test_a_client_that_goes_does_not_bring_a_revoked_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it wanted is done to its end, before anything else is."""

    async def scenario() -> None:
        async with with_a_token(tmp_path) as it:
            disk = Slow(it.service, monkeypatch)
            revoking = asyncio.create_task(revoke(it.service, "old"))
            await disk.begun()
            revoking.cancel()
            making = asyncio.create_task(make(it.service, "new"))
            await asyncio.sleep(0.05)
            disk.go()
            await making
            assert revoking.cancelled()
            assert names(it.service) == ["new"]

    asyncio.run(scenario())


def test_a_change_that_cant_be_sealed_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not stand in the way of the next."""

    async def scenario() -> None:
        async with with_a_token(tmp_path) as it:
            assert it.service.archive is not None

            def full(*_: Any) -> None:
                raise StoreError("the disk is full")

            with monkeypatch.context() as patch:
                patch.setattr(it.service.archive, "keep", full)
                with pytest.raises(StoreError):
                    await revoke(it.service, "old")
            assert names(it.service) == ["old"]
            await revoke(it.service, "old")
            assert names(it.service) == []

    asyncio.run(scenario())
