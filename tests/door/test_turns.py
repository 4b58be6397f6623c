"""A client that pipelines a flood leaves the other connections their turns."""

from __future__ import annotations

from door_talk import run, serving

FLOOD = 3000


def test_a_pipelined_flood_leaves_the_others_their_turn() -> None:
    """The whole flood arrives before the other client's request, which is answered long before the flood is."""

    async def main() -> None:
        async with serving() as server:
            flood, other = await server.connect(), await server.connect()
            flood.send(b"GET /flood HTTP/1.1\r\nHost: h\r\n\r\n" * FLOOD)
            other.get("/other")
            assert (await other.reply()).status == 200
            for _ in range(FLOOD):
                assert (await flood.reply()).status == 200
            targets = [request.head.target for request in server.app.requests]
            assert len(targets) == FLOOD + 1
            assert targets.index("/other") < FLOOD // 2

    run(main())


def test_a_flood_that_never_ends_does_not_hold_up_the_end() -> None:
    """When the server drains, such a client gets no further answers."""

    async def main() -> None:
        async with serving() as server:
            flood, other = await server.connect(), await server.connect()
            flood.send(b"GET /flood HTTP/1.1\r\nHost: h\r\n\r\n" * FLOOD)
            other.get("/other")
            await other.reply()
            assert await server.listener.drain(5)
            assert len(server.app.requests) <= FLOOD

    run(main())
