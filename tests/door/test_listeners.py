"""Many clients: floods, answers that nobody reads, draining, and the sockets of one listener."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from pathlib import Path

import pytest
from door_talk import App, Client, run, serving, text, until

from hublet.core.messages import Request, Response
from hublet.door.application import Admitted
from hublet.door.binding import bind_unix
from hublet.door.http1 import Http1
from hublet.door.listeners import Listener


def test_a_pipelined_flood_waits_outside() -> None:
    """A few requests are parsed and wait; the rest stays unparsed bytes, in the end in the client's buffers. All are
    answered."""
    gate = asyncio.Event()

    async def wait(request: Request) -> Response:
        await gate.wait()
        return text(request.head.target)

    async def main() -> None:
        app = App(lambda request: wait(request) if request.head.target == "/0" else text(request.head.target))
        async with serving(app) as server:
            client = await server.connect()
            client.send(*(f"GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n" for n in range(5_000)))
            client.send(b"GET /later HTTP/1.1\r\nHost: h\r\n\r\n" * 500_000)
            await until(lambda: len(app.requests) == 1)
            await asyncio.sleep(0.1)
            [connection] = server.listener._connections
            most = server.listener.limits.waiting_requests + Http1.slice_size // 30
            assert 32 <= len(connection._queue) <= most
            assert len(connection._held) <= 256 * 1024
            assert client.writer.transport.get_write_buffer_size() > 0
            assert len(app.requests) == 1
            gate.set()
            for n in range(2_000):
                assert (await client.reply()).body == f"/{n}".encode()

    run(main())


def test_answers_that_nobody_reads_do_not_pile_up() -> None:
    """A flood of requests for a large answer: no more is answered than the client takes."""

    async def main() -> None:
        app = App(lambda request: text("x" * 1_000_000))
        async with serving(app) as server:
            client = await server.connect()
            client.writer.transport.pause_reading()
            client.send(*(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" for _ in range(500)))
            await asyncio.sleep(0.3)
            assert len(app.requests) < 12
            [connection] = server.listener._connections
            assert connection._transport.get_write_buffer_size() < 2_100_000

    run(main())


def test_drain_lets_requests_in_work_finish_and_closes_the_idle_at_once() -> None:
    """The answer says close; nothing new is accepted."""
    gate = asyncio.Event()

    async def wait(request: Request) -> Response:
        await gate.wait()
        return text("done")

    async def main() -> None:
        async with serving(App(wait)) as server:
            idle, busy = await server.connect(), await server.connect()
            busy.get()
            await until(lambda: len(server.app.requests) == 1)
            draining = asyncio.ensure_future(server.listener.drain(5))
            assert await idle.ended()
            with pytest.raises(OSError):
                await server.connect()
            assert not draining.done()
            gate.set()
            reply = await busy.reply()
            assert (reply.body, reply.headers["connection"]) == (b"done", "close")
            assert await draining

    run(main())


def test_drain_without_work_ends_at_once() -> None:
    """An idle listener waits for no timer."""

    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.get()
            await client.reply()
            loop = asyncio.get_running_loop()
            begun = loop.time()
            assert await server.listener.drain(5)
            assert loop.time() - begun < 0.1

    run(main())


def test_drain_cuts_what_does_not_finish_in_time() -> None:
    """Its task is cancelled; drain says that it was not all answered."""
    ends: list[str] = []

    async def hang(request: Request) -> Response:
        try:
            await asyncio.sleep(60)
        finally:
            ends.append("cancelled")
        raise AssertionError

    async def main() -> None:
        async with serving(App(hang)) as server:
            client = await server.connect()
            client.get()
            await until(lambda: len(server.app.requests) == 1)
            assert not await server.listener.drain(0.05)
            await until(lambda: ends == ["cancelled"])
            assert len(server.listener) == 0

    run(main())


def test_a_closed_connection_leaves_nothing_behind() -> None:
    """Freed without the garbage collector's help."""

    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.get()
            await client.reply()
            [connection] = server.listener._connections
            ref = weakref.ref(connection)
            server.app.connections.clear()
            gc.disable()
            try:
                del connection
                await client.close()
                await until(lambda: ref() is None, 2)
            finally:
                gc.enable()

    run(main())


def test_both_families_and_a_unix_socket_are_served_by_one_listener(tmp_path: Path) -> None:
    """Each connection knows its family; drain removes the socket's file."""

    async def main() -> None:
        async with serving() as server:
            path = tmp_path / "run" / "admin"
            admin = App(lambda request: text("admin"))
            await server.listener.serve(bind_unix(path), admin)
            for address in ("127.0.0.1", "::1"):
                client = await server.connect(address)
                client.get()
                assert (await client.reply()).status == 200
            v4, v6 = server.app.connections
            assert (v4.family, v6.family) == (socket.AF_INET, socket.AF_INET6)
            for connection in (v4, v6):  # else an answer in two writes waits 40 ms for an acknowledgement
                assert connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            client = Client(*await asyncio.open_unix_connection(str(path)))
            server.clients.append(client)
            client.get()
            assert (await client.reply()).body == b"admin"
            assert admin.connections[0].family == socket.AF_UNIX
            assert path.exists()
            await server.listener.drain(1)
            assert not path.exists()

    run(main())


def test_drain_leaves_the_socket_of_a_successor_alone(tmp_path: Path) -> None:
    """The file was replaced, so it belongs to another process."""

    async def main() -> None:
        path = tmp_path / "run" / "admin"
        listener = Listener()
        await listener.serve(bind_unix(path), App())
        path.rename(tmp_path / "moved")
        successor = bind_unix(path)
        await listener.drain(1)
        assert path.exists()
        successor.close()

    run(main())


def test_scratch_belongs_to_one_connection() -> None:
    """What the application notes about a client is there for its next request and for nobody else's."""

    class Counting(App):
        def admit(self, head: object, connection: object) -> Admitted:
            connection.scratch = (connection.scratch or 0) + 1
            return Admitted(connection.scratch)

        def respond(self, request: Request, admitted: Admitted) -> Response:
            return text(str(admitted.identity))

    async def main() -> None:
        async with serving(Counting()) as server:
            one, two = await server.connect(), await server.connect()
            for client, expected in ((one, b"1"), (one, b"2"), (two, b"1"), (one, b"3")):
                client.get()
                assert (await client.reply()).body == expected

    run(main())
