"""The clients that requests are passed through by: one for each state of the config, closed when nobody needs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from hublet.core.messages import Head, Request, Response
from hublet.core.passthrough import rule_for
from hublet.upstream.forward import Forwarder
from hublet.upstream.order import Hub

SLOW, QUICK = "/model-proxy/v1/slow", "/model-proxy/v1/quick"


class Place:
    """A Hub whose slow answer has two pieces, the second once `gate` is open; `config` is what is configured."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.connections: set[asyncio.Task[None] | None] = set()
        self.config = Hub("", None)
        self.forwarder = Forwarder(lambda: self.config)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(2)
                if b"slow" in head:
                    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
                    await self.gate.wait()
                    writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        writer.close()

    async def ask(self, path: str) -> Response:
        head = Head("POST", path, (("host", "x"),))
        rule = rule_for("POST", head.segments, "listed")
        assert rule is not None
        return await self.forwarder.forward(Request(head, b"{}"), rule)

    def configure(self) -> None:
        """A line of the config is another one now."""
        self.config = replace(self.config, parallel=self.config.parallel + 1)


@asynccontextmanager
async def passing() -> AsyncIterator[Place]:
    place = Place()
    server = await asyncio.start_server(place.answer, "127.0.0.1", 0)
    place.config = Hub(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", None)
    async with server:
        yield place
        place.gate.set()
        await place.forwarder.close()
        await asyncio.gather(*filter(None, place.connections))


async def whole(response: Response) -> bytes:
    return b"".join([piece async for piece in cast("AsyncIterator[bytes]", response.body)])


def run(test: Callable[[Place], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), passing() as place:
            await test(place)

    asyncio.run(main())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[httpx.AsyncClient]:
    """Every client that is made."""
    found: list[httpx.AsyncClient] = []

    class Noted(httpx.AsyncClient):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            found.append(self)

    monkeypatch.setattr(httpx, "AsyncClient", Noted)
    return found


async def closed(client: httpx.AsyncClient) -> None:
    while not client.is_closed:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("change", ["config", "key"])
def test_what_streams_goes_on_when_the_hub_is_another(change: str, made: list[httpx.AsyncClient]) -> None:
    """A changed config or a key that is forgotten gives the next request a client of its own; the old one is closed
    once its last answer has ended."""

    async def test(place: Place) -> None:
        one, other = await place.ask(SLOW), await place.ask(SLOW)
        if change == "config":
            place.configure()
        else:
            place.forwarder.forget()
        assert await whole(await place.ask(QUICK)) == b"{}"
        assert [client.is_closed for client in made] == [False, False]
        place.gate.set()
        assert await whole(one) == b"onetwo"
        assert not made[0].is_closed
        assert await whole(other) == b"onetwo"
        await closed(made[0])
        assert not made[1].is_closed

    run(test)
    assert [client.is_closed for client in made] == [True, True]


def test_requests_that_come_at_once_share_a_client(made: list[httpx.AsyncClient]) -> None:
    async def test(place: Place) -> None:
        for _ in range(2):
            responses = await asyncio.gather(*(place.ask(QUICK) for _ in range(5)))
            assert [await whole(response) for response in responses] == [b"{}"] * 5
            place.configure()
        assert len(made) == 2

    run(test)
    assert [client.is_closed for client in made] == [True, True]


def test_an_answer_that_nobody_reads_holds_no_client(made: list[httpx.AsyncClient]) -> None:
    """The door closes a body that it did not begin to send, as for a client that went away."""

    async def test(place: Place) -> None:
        response = await place.ask(SLOW)
        place.forwarder.forget()
        assert not made[0].is_closed
        await cast("Any", response.body).aclose()
        await closed(made[0])

    run(test)


def test_one_whose_asker_goes_away_holds_no_client(made: list[httpx.AsyncClient]) -> None:
    """Before the answer, and within it."""

    async def test(place: Place) -> None:
        waiting = asyncio.create_task(place.ask(SLOW))
        while not made:
            await asyncio.sleep(0)
        waiting.cancel()
        reading = asyncio.create_task(whole(await place.ask(SLOW)))
        await asyncio.sleep(0.01)
        place.forwarder.forget()
        assert not made[0].is_closed
        reading.cancel()
        await closed(made[0])
        assert (waiting.cancelled(), reading.cancelled()) == (True, True)

    run(test)


def test_closing_ends_what_still_streams(made: list[httpx.AsyncClient]) -> None:
    async def test(place: Place) -> None:
        await place.ask(SLOW)
        place.configure()
        await place.ask(SLOW)
        await place.forwarder.close()
        assert [client.is_closed for client in made] == [True, True]

    run(test)
