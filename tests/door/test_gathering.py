"""A large answer is sent in one call with its head and without a copy, if the transport can do that."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.door.door_talk import App, run, serving, until

from hublet.core.messages import Response
from hublet.door import http1, writing

Loop = Callable[[], asyncio.AbstractEventLoop]
LOOPS: dict[str, Loop] = {"asyncio": asyncio.new_event_loop}
if importlib.util.find_spec("uvloop") is not None:
    LOOPS["uvloop"] = importlib.import_module("uvloop").new_event_loop
SIZES = (10, writing.gather_from - 1, writing.gather_from, writing.join_below, 3_000_000)


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """uvloop's loop; and asyncio's, treated as one that gathers, so that this is tested without uvloop too."""
    if request.param == "asyncio":
        monkeypatch.setattr(http1, "gathers", lambda _: True)
    return LOOPS[request.param]


@pytest.mark.parametrize("size", SIZES)
def test_an_answer_of_any_size_is_whole(loop: Loop, size: int) -> None:
    """The first answer, and those that are sent again."""

    async def main() -> None:
        body = (bytes(range(256)) * (size // 256 + 1))[:size]
        app = App(lambda _: Response(200, (), body, again=lambda: True))
        async with serving(app) as server:
            client = await server.connect()
            for _ in range(3):
                client.get("/a")
                assert (await client.reply()).body == body
            assert len(app.requests) == 1

    run(main(), loop=loop)


@pytest.mark.parametrize("name", LOOPS)
def test_a_client_that_takes_nothing_is_answered_no_further(name: str) -> None:
    """However much it asks for: one answer waits to be sent, and no second one beside it."""

    async def main() -> None:
        app = App(lambda _: Response(200, (), b"x" * 12_000_000))
        async with serving(app) as server:
            client = await server.connect()
            client.writer.transport.pause_reading()
            for number in range(20):
                client.get(f"/{number}")
            await until(lambda: bool(app.requests))
            for _ in range(100):
                await asyncio.sleep(0)  # a turn of the loop, in which two would be answered
            assert len(app.requests) == 1

    run(main(), loop=LOOPS[name])


@pytest.mark.parametrize("name", LOOPS)
def test_only_uvloop_is_taken_at_its_word(name: str, tmp_path: Path) -> None:
    """Its transports count as gathering, over TCP and Unix sockets; those of asyncio do not."""
    found: list[bool] = []

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            found.append(writing.gathers(transport))
            transport.close()

    async def main() -> None:
        loop, place = asyncio.get_running_loop(), str(tmp_path / "socket")
        for server in (
            await loop.create_server(Accepted, "127.0.0.1", 0), await loop.create_unix_server(Accepted, place)
        ):  # fmt: skip
            at = server.sockets[0].getsockname()
            connecting = asyncio.open_unix_connection(at) if at == place else asyncio.open_connection(*at)
            reader, writer = await connecting
            assert await reader.read() == b""
            writer.close()
            server.close()

    run(main(), loop=LOOPS[name])
    assert found == [name == "uvloop"] * 2
