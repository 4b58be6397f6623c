"""A refusal that is held back keeps nobody else waiting; their number is limited, and they make room for new
connections."""

from __future__ import annotations

import asyncio
import time

from door_talk import App, nobody, run, serving, text, until

from hublet.core.messages import Head, Response
from hublet.door.application import Admitted, Connection, Limits


class Wary(App):
    """Refuses `/wrong`, and holds that back."""

    wait = 0.3

    def admit(self, head: Head, connection: Connection) -> Admitted | Response:
        if head.target == "/wrong":
            connection.hold_back = self.wait
            return text("no", 401)
        return nobody


def test_a_refusal_that_is_held_back_comes_late_and_holds_up_nobody() -> None:
    """Meanwhile other connections are answered, and so are earlier requests on this one; then it is closed."""

    async def main() -> None:
        async with serving(Wary()) as server:
            slow, other = await server.connect(), await server.connect()
            began = time.monotonic()
            slow.get("/right")
            slow.get("/wrong")
            assert (await slow.reply()).status == 200
            await until(lambda: server.listener.counters.held_back == 1)
            other.get("/right")
            assert (await other.reply()).status == 200
            assert time.monotonic() - began < 0.25
            reply = await slow.reply()
            assert (reply.status, reply.headers["connection"]) == (401, "close")
            assert time.monotonic() - began >= 0.3
            assert await slow.ended()
            assert server.listener.counters.held_back == 0
            assert server.listener.counters.refused == 1

    run(main())


def test_so_many_wait_and_the_next_is_refused_at_once() -> None:
    """A flood of refusals does not hold all of them open."""

    async def main() -> None:
        app = Wary()
        app.wait = 5.0
        async with serving(app, Limits(held_back=3)) as server:
            waiting = [await server.connect() for _ in range(3)]
            for client in waiting:
                client.get("/wrong")
            await until(lambda: server.listener.counters.held_back == 3)
            fourth = await server.connect()
            fourth.get("/wrong")
            began = time.monotonic()
            assert (await fourth.reply()).status == 401
            assert time.monotonic() - began < 2
            await waiting[0].close()
            await until(lambda: server.listener.counters.held_back == 2)

    run(main())


def test_who_waits_for_a_refusal_makes_room() -> None:
    """A connection whose refusal is held back counts as waiting, so failed tries can't use up all connections."""

    async def main() -> None:
        app = Wary()
        app.wait = 20.0
        async with serving(app, Limits(connections=3)) as server:
            waiting = [await server.connect() for _ in range(3)]
            for client in waiting:
                client.get("/wrong")
            await until(lambda: server.listener.counters.held_back == 3)
            new = await server.connect()
            new.get("/right")
            assert (await new.reply()).status == 200
            assert server.listener.counters.evicted == 1
            assert await waiting[0].ended()

    run(main())


def test_what_else_is_sent_meanwhile_is_dropped_and_not_answered() -> None:
    """A refused connection has no second try."""

    async def main() -> None:
        async with serving(Wary()) as server:
            client = await server.connect()
            client.get("/wrong")
            await asyncio.sleep(0.05)
            client.get("/right")
            assert (await client.reply()).status == 401
            assert await client.ended()
            assert server.app.requests == []

    run(main())
