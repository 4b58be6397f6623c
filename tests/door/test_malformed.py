"""Each request of the corpus is refused, sent whole and byte by byte over a real connection."""

from __future__ import annotations

import asyncio
import json

import pytest
from door_talk import App, run, serving, text
from malformed import accepted, corpus

from hublet.core.messages import Request, Response
from hublet.door.application import Limits

follower = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize("name", corpus)
def test_a_malformed_request_is_answered_with_its_status_and_nothing_after_it_is_read(name: str) -> None:
    """A JSON message, then the end of the connection; what follows is never taken for a request."""
    status, data = corpus[name]

    async def main() -> None:
        async with serving(App(), Limits(body_size=1000)) as server:
            client = await server.connect()
            client.get("/before")
            client.send(data, follower if not name.endswith("never ends") else b"")
            assert (await client.reply()).body == b"GET /before 0"
            reply = await client.reply()
            assert reply.status == status
            assert reply.headers["connection"] == "close"
            assert isinstance(json.loads(reply.body)["message"], str)
            assert await client.ended()
            assert [request.head.target for request in server.app.requests] == ["/before"]
            assert server.listener.counters.malformed == 1

    run(main())


@pytest.mark.parametrize("name", [name for name, (_, data) in corpus.items() if len(data) < 300])
def test_it_does_not_matter_how_a_malformed_request_is_cut(name: str) -> None:
    """The same bytes one at a time."""
    status, data = corpus[name]

    async def main() -> None:
        async with serving(App(), Limits(body_size=1000)) as server:
            client = await server.connect()
            client.get()
            await client.reply()
            server.app.requests.clear()
            [connection] = server.listener._connections
            for n in range(len(data)):
                if not connection._discarding:
                    connection.data_received(data[n : n + 1])
            assert (await client.reply()).status == status
            assert server.app.requests == []

    run(main())


@pytest.mark.parametrize("name", accepted)
def test_what_is_only_unusual_is_accepted(name: str) -> None:
    """And the connection goes on after it, unless the request was HTTP/1.0."""

    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.send(accepted[name])
            assert (await client.reply()).status == 200
            if name != "no Host in 1.0":
                client.send(follower)
                assert (await client.reply()).body == b"GET /smuggled 0"
            assert server.app.requests[0].head.header("content-type") in (None, "text/plain")

    run(main())


def test_only_blanks_and_tabs_are_no_part_of_a_value() -> None:
    """RFC 9110 section 5.6.3; what Unicode calls a space is a byte of the value like any other."""

    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.send(b"GET / HTTP/1.1\r\nHost: h\r\nA: \t \xa0b\x85 \t\r\n\r\n")
            assert (await client.reply()).status == 200
            assert server.app.requests[0].head.header("a") == "\xa0b\x85"

    run(main())


async def slowly(request: Request) -> Response:
    await asyncio.sleep(0.01)
    return text(request.head.target)


def test_a_malformed_request_waits_its_turn_behind_the_ones_before_it() -> None:
    """Errors keep to the order of the requests, also behind an answer that takes its time."""

    async def main() -> None:
        async with serving(App(slowly)) as server:
            client = await server.connect()
            client.get("/one")
            client.get("/two")
            client.send(b"nonsense\r\n\r\n")
            assert (await client.reply()).body == b"/one"
            assert (await client.reply()).body == b"/two"
            assert (await client.reply()).status == 400
            assert await client.ended()

    run(main())


def test_the_message_quotes_nothing_that_was_sent() -> None:
    """No error repeats the bytes of the request."""

    async def main() -> None:
        for _, data in corpus.values():
            async with serving(App(), Limits(body_size=1000)) as server:
                client = await server.connect()
                client.send(data.replace(b"Host: h", b"Host: canary"))
                assert b"canary" not in (await client.reply()).body

    run(main())
