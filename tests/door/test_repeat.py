"""An answer that may be sent again: for the same bytes, as long as it says so, and decided anew from then on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.door.door_talk import App, echo, run, serving, text

from hublet.core.messages import Request, Response
from hublet.door import encoding, writing


class Repeating:
    """Answers that may be sent again while `still` holds; `asked` counts how often they were asked."""

    def __init__(self) -> None:
        self.still, self.asked = True, 0
        self.app = App(self.answer)

    def answer(self, request: Request) -> Response:
        response = echo(request)
        assert isinstance(response, Response)
        return replace(response, again=self.again)

    def again(self) -> bool:
        self.asked += 1
        return self.still


def test_the_same_bytes_get_the_same_answer_without_asking_the_application() -> None:
    """It is counted as a request all the same; other bytes are another question."""

    async def main() -> None:
        it = Repeating()
        async with serving(it.app) as server:
            client = await server.connect()
            for _ in range(4):
                client.get("/a")
                assert (await client.reply()).body == b"GET /a 0"
            assert len(it.app.requests) == 1
            assert len(it.app.connections) == 1, "nor was admission asked"
            assert server.listener.counters.requests == 4
            client.get("/b")
            assert (await client.reply()).body == b"GET /b 0"
            client.get("/a")
            assert (await client.reply()).body == b"GET /a 0"
            assert len(it.app.requests) == 3

    run(main())


def test_it_is_decided_anew_when_the_answer_no_longer_holds() -> None:
    """Admission first: what was let in before may be refused now."""

    async def main() -> None:
        it = Repeating()
        async with serving(it.app) as server:
            client = await server.connect()
            for _ in range(2):
                client.get("/a")
                await client.reply()
            it.still = False
            client.get("/a")
            assert (await client.reply()).status == 200
            assert len(it.app.requests) == 2
            it.app.entry = lambda head: text("revoked", 401)
            client.get("/a")
            assert (await client.reply()).status == 401
            assert await client.ended()

    run(main())


def test_another_connection_is_not_answered_from_it() -> None:
    """Who is asking is decided for each connection."""

    async def main() -> None:
        it = Repeating()
        async with serving(it.app) as server:
            for _ in range(2):
                client = await server.connect()
                client.get("/a")
                await client.reply()
            assert len(it.app.requests) == 2

    run(main())


@pytest.mark.parametrize(
    ("method", "version", "headers"),
    [("HEAD", "1.1", ()), ("POST", "1.1", ()), ("GET", "1.0", ("Connection: keep-alive",))],
)
def test_only_a_plain_get_is_repeated(method: str, version: str, headers: tuple[str, ...]) -> None:
    """Another method or version would need other bytes, or has effects."""

    async def main() -> None:
        it = Repeating()
        async with serving(it.app) as server:
            client = await server.connect()
            for _ in range(3):
                client.get("/a", *headers, method=method, version=version)
                await client.reply(of_head=method == "HEAD")
            assert len(it.app.requests) == 3
            assert it.asked == 0

    run(main())


def test_the_date_of_a_repeated_answer_is_the_present_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9110 section 6.6.1: it is when the message was made."""

    async def main() -> None:
        it = Repeating()
        async with serving(it.app) as server:
            client = await server.connect()
            dates = []
            for second in (1_767_323_045, 1_767_323_046, 1_767_323_046):
                monkeypatch.setattr(encoding.time, "time", lambda second=second: second + 0.5)
                client.get("/a")
                dates.append((await client.reply()).headers["date"])
            assert dates == ["Fri, 02 Jan 2026 03:04:05 GMT", *["Fri, 02 Jan 2026 03:04:06 GMT"] * 2]
            assert len(it.app.requests) == 1

    run(main())


@pytest.mark.parametrize("size", [10, writing.join_below - 1, writing.join_below, 1_000_000])
def test_a_repeated_answer_of_any_size_is_whole(size: int) -> None:
    """Small ones are joined with their head, large ones follow it."""

    async def main() -> None:
        it = Repeating()
        body = bytes(range(256)) * (size // 256 + 1)
        it.app.answer = lambda request: Response(200, (), body[:size], again=it.again)
        async with serving(it.app) as server:
            client = await server.connect()
            for _ in range(3):
                client.get("/a")
                assert (await client.reply()).body == body[:size]
            assert len(it.app.requests) == 1

    run(main())


def test_a_server_that_drains_answers_once_more_and_closes() -> None:
    """A client that goes on asking can't keep it from ending."""

    async def main() -> None:
        it = Repeating()
        async with serving(it.app) as server:
            client = await server.connect()
            for _ in range(2):
                client.get("/a")
                await client.reply()
            for connection in list(server.listener._connections):
                connection._draining = True
            client.get("/a")
            assert (await client.reply()).headers["connection"] == "close"
            assert await client.ended()
            assert len(it.app.requests) == 2

    run(main())
