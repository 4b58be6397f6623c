"""Slow, idle and unknown clients: how long each may take, and who makes room for whom."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from door_talk import App, run, serving, text, until

from hublet.core.messages import Request, Response
from hublet.door.application import Admitted, Limits

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
