"""Many and bad clients: time limits, room, floods, drain, and that an idle server sleeps."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import weakref
from pathlib import Path

import pytest
from door_talk import App, Client, run, serving, text, until

from hublet.core.messages import Request, Response
from hublet.door.application import Admitted, Limits
from hublet.door.binding import bind_unix
from hublet.door.http1 import Http1
from hublet.door.listeners import Listener

tiny = Limits(head_time=0.1, body_gap=0.1, body_time=0.3, idle_time=0.1, stalled_time=0.1, linger_time=0.1)
patient = Limits(idle_time=5, head_time=5, body_gap=5, body_time=5, stalled_time=5, linger_time=5)


def only(patience: str) -> Limits:
    """Limits in which one time is short and all others are long."""
    return Limits(**{name: getattr(tiny if name == patience else patient, name) for name in Limits.__slots__})


@pytest.mark.parametrize(
    ("limits", "sent"),
    [
        (only("head_time"), b"GET / HT"),
        (only("head_time"), b"\r\n"),
        (only("head_time"), b"GET / HTTP/1.1\r\nHost: h\r\nA: "),
        (only("body_gap"), b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab"),
        (only("body_gap"), b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n"),
    ],
)
def test_a_slow_sender_gets_408_and_loses_its_connection(limits: Limits, sent: bytes) -> None:
    """Also on a connection whose earlier requests were fast."""

    async def main() -> None:
        async with serving(App(), limits) as server:
            client = await server.connect()
            client.get()
            assert (await client.reply()).status == 200
            client.send(sent)
            assert (await client.reply()).status == 408
            assert await client.ended()
            assert server.listener.counters.timed_out == 1

    run(main())


@pytest.mark.parametrize(
    ("limits", "start", "drip"),
    [
        (only("head_time"), b"GET / HTTP/1.1\r\nHost: h\r\nA: ", b"x"),
        (only("head_time"), b"\r\n", b"\r\n"),
        (only("body_time"), b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n", b"x"),
    ],
)
def test_a_drip_does_not_buy_time(limits: Limits, start: bytes, drip: bytes) -> None:
    """Heads and bodies have a limit for the whole, not only between two bytes."""

    async def main() -> None:
        async with serving(App(), limits) as server:
            client = await server.connect()
            client.send(start)
            loop = asyncio.get_running_loop()
            begun = loop.time()
            reading = asyncio.ensure_future(client.reply())
            while not reading.done() and loop.time() < begun + 3:
                client.send(drip)
                await asyncio.sleep(0.02)
            assert (await reading).status == 408
            assert loop.time() < begun + 2

    run(main())


def test_idle_connections_are_closed_without_a_word() -> None:
    """Whether they have sent a request before or not. A connection whose answer is in work is not idle."""

    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.3)
        return text("done")

    async def main() -> None:
        async with serving(App(slow), only("idle_time")) as server:
            silent, busy = await server.connect(), await server.connect()
            busy.get()
            assert await silent.ended()
            assert (await busy.reply()).body == b"done"
            assert await busy.ended()
            assert server.listener.counters.timed_out == 0

    run(main())


def test_a_client_that_takes_nothing_of_its_answer_is_cut_off() -> None:
    """But not one that takes it slowly."""

    async def main() -> None:
        limits = only("stalled_time")
        async with serving(App(lambda request: text("x" * 12_000_000)), limits) as server:
            stuck, slow = await server.connect(), await server.connect()
            for client in (stuck, slow):
                client.writer.transport.pause_reading()
                client.get()
            read = b""
            sock = slow.writer.get_extra_info("socket")
            while len(read) < 11_000_000:
                await asyncio.sleep(0.02)
                try:
                    read += os.read(sock.fileno(), 700_000)
                except BlockingIOError:
                    continue
            assert server.listener.counters.timed_out == 1
            assert len(server.listener) == 1

    run(main())


def test_no_connection_no_timer_and_an_idle_connection_wakes_no_one() -> None:
    """One sweep at the earliest deadline, none without connections; hits set no timer."""

    async def main() -> None:
        async with serving(App(), Limits()) as server:
            assert not server.listener.sweeping
            client = await server.connect()
            client.get()
            await client.reply()
            assert server.listener.sweeping
            timer = server.listener._timer
            assert timer.when() > asyncio.get_running_loop().time() + 70
            for _ in range(5):
                client.get()
                await client.reply()
            assert server.listener._timer is timer
            client.send("GET / HT")
            await until(lambda: server.listener._timer.when() < timer.when() - 50)
            await client.close()
            await until(lambda: not server.listener.sweeping)

    run(main())


def test_the_oldest_idle_connection_makes_room_for_a_new_one() -> None:
    """A connection with a request in work keeps its place; when all have one, the newcomer gets 503."""
    gate = asyncio.Event()

    async def wait(request: Request) -> Response:
        await gate.wait()
        return text("done")

    async def main() -> None:
        app = App(lambda request: wait(request) if request.head.target == "/wait" else text("now"))
        async with serving(app, Limits(connections=3, linger_time=0.1)) as server:
            busy, older, newer = [await server.connect() for _ in range(3)]
            busy.get("/wait")
            for client in (older, newer):
                client.get()
                await client.reply()
                await asyncio.sleep(0.01)
            fourth = await server.connect()
            fourth.get()
            assert (await fourth.reply()).status == 200
            assert await older.ended()
            newer.get("/wait")
            fourth.get("/wait")
            await until(lambda: len(app.requests) == 6)
            fifth = await server.connect()
            assert (await fifth.reply()).status == 503
            assert await fifth.ended()
            gate.set()
            for client in (busy, newer, fourth):
                assert (await client.reply()).body == b"done"
            counters = server.listener.counters
            assert (counters.evicted, counters.turned_away) == (1, 1)

    run(main())


def test_who_holds_many_connections_with_half_a_head_does_not_keep_others_out() -> None:
    """Slow heads are the first to go when there is no room."""

    async def main() -> None:
        async with serving(App(), Limits(connections=20)) as server:
            for _ in range(40):
                client = await server.connect()
                client.send("GET / HT")
            await until(lambda: len(server.listener) <= 20)
            honest = await server.connect()
            honest.get()
            assert (await honest.reply()).status == 200
            assert server.listener.counters.turned_away == 0

    run(main())


def known_but_at(path: str) -> App:
    """Anybody is answered at one path."""
    return App(
        lambda request: text("x" * 4096),
        lambda head: Admitted(None, known=head.target != path),
    )


@pytest.mark.parametrize("first", [b"", b"GET /open HTTP/1.1\r\nHost: h\r\n\r\n"], ids=["first", "second"])
def test_who_is_not_known_does_not_keep_others_out_with_bodies(first: bytes) -> None:
    """However often a byte of them comes; a known client's body keeps its place."""

    async def main() -> None:
        async with serving(known_but_at("/open"), Limits(connections=5)) as server:
            mine = await server.connect()
            mine.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx")
            others = []
            for _ in range(10):
                other = await server.connect()
                others.append(other)
                other.send(first, b"POST /open HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx")
                await asyncio.sleep(0.01)
                for each in others:
                    each.send(b"x")
            for _ in range(4):
                honest = await server.connect()
                honest.get()
                assert (await honest.reply()).status == 200
            mine.send("y")
            assert (await mine.reply()).status == 200
            assert server.listener.counters.turned_away == 0

    run(main())


@pytest.mark.parametrize("answers", [10, 2000], ids=["a little unread", "stalled"])
def test_who_is_not_known_and_does_not_read_is_gone_at_once(answers: int) -> None:
    """An eviction that waited for the answers to be taken would leave the socket open beyond the limit."""

    async def main() -> None:
        async with serving(known_but_at("/open"), Limits(connections=1)) as server:
            with socket.socket() as stuck:
                stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                stuck.connect(("127.0.0.1", server.port))
                await until(lambda: len(server.listener) == 1)
                (held,) = server.listener._connections
                inner = held._transport.get_extra_info("socket")
                inner.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
                stuck.setblocking(False)
                stuck.sendall(b"GET /open HTTP/1.1\r\nHost: h\r\n\r\n" * answers)
                await until(lambda: held._transport.get_write_buffer_size() > 0)
                await asyncio.sleep(0.05)
                honest = await server.connect()
                honest.get()
                assert (await honest.reply()).status == 200
                await until(lambda: held._gone)
                assert server.listener.counters.evicted == 1

    run(main())


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
