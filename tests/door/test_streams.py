"""Bodies in pieces, both ways: chunks, backpressure, clients that go away in the middle."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from door_talk import App, Client, Pieces, run, serving, text, until

from hublet.core.messages import Request, Response
from hublet.door.application import Admitted, Limits


def test_a_streamed_answer_is_chunked_for_1_1_and_ends_with_the_connection_for_1_0() -> None:
    """RFC 9112 section 6.1: chunks are never sent to a 1.0 client."""

    async def main() -> None:
        streams = [Pieces(b"one", b"two"), Pieces(b"one", b"two")]
        waiting = iter(streams)
        async with serving(App(lambda request: Response(200, (), next(waiting)))) as server:
            client = await server.connect()
            client.get()
            head = await client.head()
            assert head.headers["transfer-encoding"] == "chunked"
            assert [piece async for piece in client.chunks()] == [b"one", b"two"]
            client = await server.connect()
            client.get("/", "Connection: keep-alive", version="1.0")
            reply = await client.reply()
            assert reply.headers["connection"] == "close"
            assert "transfer-encoding" not in reply.headers
            assert reply.body == b"onetwo"
            await until(lambda: all(stream.closed for stream in streams))

    run(main())


def test_a_stream_that_fails_is_cut_and_never_looks_complete(caplog: pytest.LogCaptureFixture) -> None:
    """No last chunk: the client sees that the answer is broken."""

    async def main() -> None:
        stream = Pieces(b"half", then=RuntimeError("x"))
        async with serving(App(lambda request: Response(200, (), stream))) as server:
            client = await server.connect()
            client.get()
            await client.head()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                [piece async for piece in client.chunks()]
            await until(lambda: stream.closed)

    run(main())


def test_a_stream_is_not_taken_faster_than_the_client_reads() -> None:
    """Backpressure: pieces stay with their source while the client takes nothing."""

    async def main() -> None:
        stream = Pieces(b"x" * 65536, endless=True)
        async with serving(App(lambda request: Response(200, (), stream))) as server:
            client = await server.connect()
            client.writer.transport.pause_reading()
            client.get()
            await asyncio.sleep(0.3)
            taken = stream.taken
            assert 0 < taken < 300  # about what two socket buffers hold
            await asyncio.sleep(0.1)
            assert stream.taken == taken
            client.writer.transport.resume_reading()
            await client.head()
            async for _ in client.chunks():
                if stream.taken > taken + 20:
                    break
            client.writer.transport.abort()
            await until(lambda: stream.closed)

    run(main())


def test_a_client_that_goes_away_cancels_its_answer_and_closes_the_stream() -> None:
    """Closed or reset, before or within the answer: the task is cancelled once, and cleans up undisturbed."""
    cancelled: list[str] = []

    async def wait(request: Request) -> Response:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.02)
            cancelled.append("clean")
            raise
        raise AssertionError

    async def leave(client: Client, reset: bool) -> None:
        if reset:
            client.writer.transport.abort()
        else:
            await client.close()

    async def main() -> None:
        for reset in (False, True):
            app = App(wait)
            async with serving(app) as server:
                client = await server.connect()
                client.get()
                client.get("/queued")
                await until(lambda app=app: len(app.requests) == 1)
                await leave(client, reset)
                await until(lambda: len(cancelled) == 1)
                assert len(app.requests) == 1
                cancelled.clear()
            stream = Pieces(b"x", endless=True)
            async with serving(App(lambda request, stream=stream: Response(200, (), stream))) as server:
                client = await server.connect()
                client.get()
                await client.head()
                await leave(client, reset)
                await until(lambda stream=stream: stream.closed)

    run(main())


def streamed(head: object) -> Admitted:
    return Admitted(None, streamed=True)


async def collect(request: Request) -> Response:
    assert request.stream is not None
    return text(f"{sum([len(piece) async for piece in request.stream])}")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_streamed_request_body_reaches_the_application_as_it_comes(chunked: bool) -> None:
    """The first piece is there before the last was sent, and the connection goes on afterwards."""
    pieces: list[bytes] = []

    async def answer(request: Request) -> Response:
        assert request.stream is not None
        async for piece in request.stream:
            pieces.append(piece)  # noqa: PERF401  each is looked at as it comes
        return text("done")

    async def main() -> None:
        async with serving(App(answer, streamed)) as server:
            client = await server.connect()
            for _ in range(2):
                framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 6"
                client.send(f"POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n")
                client.send("3\r\nabc\r\n" if chunked else "abc")
                await until(lambda: pieces == [b"abc"])
                client.send("3\r\ndef\r\n0\r\n\r\n" if chunked else "def")
                assert (await client.reply()).body == b"done"
                assert pieces == [b"abc", b"def"]
                pieces.clear()
            client.get()
            assert (await client.reply()).body == b"done"

    run(main())


def test_a_streamed_request_is_read_no_faster_than_it_is_used() -> None:
    """Backpressure to the client's send; then all of it arrives."""
    go = asyncio.Event()
    total = 8_000_000

    async def answer(request: Request) -> Response:
        await go.wait()
        return await collect(request)

    async def main() -> None:
        async with serving(App(answer, streamed)) as server:
            client = await server.connect()
            client.send(f"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {total}\r\n\r\n", b"x" * total)
            await asyncio.sleep(0.2)
            assert client.writer.transport.get_write_buffer_size() > 0
            [connection] = server.listener._connections
            stream = server.app.requests[0].stream
            assert stream._size < 70_000
            go.set()
            assert (await client.reply()).body == str(total).encode()
            assert connection in server.listener._connections

    run(main())


def test_an_answer_before_the_streamed_body_ended_closes_the_connection() -> None:
    """The rest of the body can't be told from a next request by an application that did not read it."""

    async def main() -> None:
        async with serving(App(lambda request: text("early", 400), streamed)) as server:
            client = await server.connect()
            client.send(
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
            )
            reply = await client.reply()
            assert (reply.body, reply.headers["connection"]) == (b"early", "close")
            assert await client.ended()
            assert len(server.app.requests) == 1

    run(main())


@pytest.mark.parametrize("fault", ["gone", "malformed", "too large"])
def test_a_streamed_body_that_breaks_off_ends_its_reader(fault: str) -> None:
    """The reader's task is cancelled; a client that is still there gets the error."""
    ends: list[type[BaseException]] = []

    async def answer(request: Request) -> Response:
        try:
            return await collect(request)
        except BaseException as error:
            ends.append(type(error))
            raise

    async def main() -> None:
        async with serving(App(answer, streamed), Limits(streamed_body_size=100)) as server:
            client = await server.connect()
            client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            await until(lambda: len(server.app.requests) == 1)
            if fault == "gone":
                await client.close()
            elif fault == "malformed":
                client.send("zz\r\n")
                assert (await client.reply()).status == 400
            else:
                client.send("62\r\n", b"x" * 98, "\r\n")
                assert (await client.reply()).status == 413
            await until(lambda: len(ends) == 1)
            assert ends[0] in (asyncio.CancelledError, ConnectionResetError)

    run(main())


async def pieces_then_wait(gate: asyncio.Event) -> AsyncIterator[bytes]:
    yield b"a"
    await gate.wait()
    yield b"b"


def test_pieces_are_sent_when_they_are_made() -> None:
    """Nothing holds a piece back until the next one."""

    async def main() -> None:
        gate = asyncio.Event()
        async with serving(App(lambda request: Response(200, (), pieces_then_wait(gate)))) as server:
            client = await server.connect()
            client.get()
            await client.head()
            chunks = client.chunks()
            assert await anext(chunks) == b"a"
            gate.set()
            assert [piece async for piece in chunks] == [b"b"]

    run(main())


def test_a_collected_body_takes_no_more_memory_in_small_pieces() -> None:
    """Its size limit bounds it, not the number of chunks that the client makes of it."""
    size = 200_000

    async def main() -> None:
        async with serving(App(), Limits(body_size=size)) as server:
            client = await server.connect()
            client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            await until(lambda: len(server.listener) == 1)
            (connection,) = server.listener._connections
            await until(lambda: connection._exchange is not None)
            tracemalloc.start()
            try:
                client.send(b"2\r\nab\r\n" * (size // 2))
                await until(lambda: connection._exchange.size == size, 20)
                assert tracemalloc.get_traced_memory()[0] < 3 * size
            finally:
                tracemalloc.stop()
            client.send("0\r\n\r\n")
            assert (await client.reply()).body == b"POST / 200000"
            assert server.app.requests[-1].body == b"ab" * (size // 2)

    run(main())
