"""Requests and answers on good connections: framing both ways, order, tasks, streams."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest
from door_talk import App, Pieces, run, serving, text, until

from hublet.core.messages import Request, Response
from hublet.door import encoding
from hublet.door.application import Admitted


def test_every_answer_carries_its_framing_date_and_the_security_headers() -> None:
    """Content-Length, Date and the four fixed headers; no Server, no CORS, whatever the application said."""

    def answer(request: Request) -> Response:
        return text(
            "hello",
            200,
            *(("Access-Control-Allow-Origin", "*"), ("Server", "x"), ("Content-Length", "999"), ("Set-Cookie", "a=b")),
            *(("X-Content-Type-Options", "off"), ("Content-Security-Policy", "none"), ("ETag", '"1"')),
        )

    async def main() -> None:
        async with serving(App(answer)) as server:
            client = await server.connect()
            client.get()
            reply = await client.reply()
            assert reply.body == b"hello"
            assert reply.headers.pop("date").endswith(" GMT")
            assert reply.headers == {
                "content-type": "text/plain",
                "etag": '"1"',
                "content-length": "5",
                "x-content-type-options": "nosniff",
                "content-security-policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
                "cross-origin-resource-policy": "same-origin",
                "cache-control": "no-store",
            }

    run(main())


def test_an_application_may_set_the_resource_policy_and_caching_itself() -> None:
    """Icons are cross-origin and may be kept."""

    async def main() -> None:
        icon = text("", 200, ("cross-origin-resource-policy", "cross-origin"), ("Cache-Control", "max-age=60"))
        async with serving(App(lambda request: icon)) as server:
            client = await server.connect()
            client.get()
            reply = await client.reply()
            assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
            assert reply.headers["cache-control"] == "max-age=60"

    run(main())


def test_the_date_is_the_present_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memo of the Date line follows the clock, forwards and backwards."""
    for now, expected in ((784111777, b"Sun, 06 Nov 1994 08:49:37 GMT"), (0, b"Thu, 01 Jan 1970 00:00:00 GMT")):
        monkeypatch.setattr(encoding.time, "time", lambda now=now: now + 0.5)
        assert encoding.date_line() == b"Date: " + expected + b"\r\n"
        assert encoding.date_line(end=True) == b"Date: " + expected + b"\r\n\r\n"


@pytest.mark.parametrize(
    "bad", [("X", "a\r\nSet-Cookie: b"), ("X", "a\x00"), ("X\r\nY", "a"), ("X:", "a"), ("", "a"), ("X", "é")]
)
def test_a_header_that_would_break_the_head_becomes_a_500(
    bad: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Response splitting ends in our own error, not on the wire; streamed answers included."""

    async def main() -> None:
        stream = Pieces(b"never")
        for body in (b"", stream):
            async with serving(App(lambda request, body=body: Response(200, (bad,), body))) as server:
                client = await server.connect()
                client.get()
                reply = await client.reply()
                assert (reply.status, reply.body) == (500, b'{"message":"internal error"}')
                assert "set-cookie" not in reply.headers
        assert stream.closed

    run(main())


def test_head_gets_the_head_of_get_and_no_body() -> None:
    """RFC 9110 section 9.3.2: Content-Length stays, bytes do not come; also for streams, errors and refusals."""

    async def main() -> None:
        stream = Pieces(b"abc")
        answers = iter([text("hello"), Response(200, (), stream), text("last")])
        async with serving(App(lambda request: next(answers))) as server:
            client = await server.connect()
            client.get(method="HEAD")
            client.get(method="HEAD")
            client.get()
            assert (await client.reply(of_head=True)).headers["content-length"] == "5"
            assert (await client.reply(of_head=True)).headers["transfer-encoding"] == "chunked"
            assert (await client.reply()).body == b"last"
            await until(lambda: stream.closed)
        async with serving(App(entry=lambda head: text("no", 403))) as server:
            client = await server.connect()
            client.get(method="HEAD")
            assert (await client.reply(of_head=True)).status == 403
            assert await client.ended()

    run(main())


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_content_has_no_length(status: int) -> None:
    """RFC 9110 section 8.6; and the next answer on the connection is found where it begins."""

    async def main() -> None:
        answers = iter([Response(status, (("ETag", '"1"'),)), text("next")])
        async with serving(App(lambda request: next(answers))) as server:
            client = await server.connect()
            client.get()
            client.get()
            reply = await client.reply()
            assert reply.status == status
            assert "content-length" not in reply.headers
            assert "transfer-encoding" not in reply.headers
            assert (await client.reply()).body == b"next"

    run(main())


def test_keep_alive_by_version() -> None:
    """1.1 stays open unless it says close; 1.0 closes unless it says keep-alive, which is then confirmed."""

    async def main() -> None:
        async with serving() as server:
            for version, sent, stays in (
                ("1.1", [], True),
                ("1.1", ["Connection: close"], False),
                ("1.0", [], False),
                ("1.0", ["Connection: keep-alive"], True),
            ):
                client = await server.connect()
                client.get("/", *sent, version=version)
                reply = await client.reply()
                assert reply.headers.get("connection") == (
                    "close" if not stays else "keep-alive" if version == "1.0" else None
                )
                if stays:
                    client.get("/again", *sent, version=version)
                    assert (await client.reply()).body == b"GET /again 0"
                else:
                    assert await client.ended()

    run(main())


def test_bodies_sized_and_chunked_arrive_whole() -> None:
    """Chunk extensions and trailers are read over; the bytes between are the body."""

    async def main() -> None:
        app = App()
        async with serving(app) as server:
            client = await server.connect()
            client.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
            client.send("POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n")
            client.send("3;x=y\r\nhel\r\n", "2\r\nlo\r\n", "0\r\nX-Trailer: dropped\r\n\r\n")
            client.get("/c")
            for expected in (b"POST /a 5", b"POST /b 5", b"GET /c 0"):
                assert (await client.reply()).body == expected
            assert [request.body for request in app.requests] == [b"hello", b"hello", b""]
            assert app.requests[1].head.header("x-trailer") is None

    run(main())


def test_expect_continue_is_answered_when_the_body_is_wanted() -> None:
    """RFC 9110 section 10.1.1: after admission, in its turn; not for a refused request; other expectations get 417."""

    async def main() -> None:
        refuse = Response(403, (), b"no")
        entry = {"/refused": refuse}
        app = App(
            lambda request: later(request.head.target) if request.head.target == "/slow" else text("ok"),
            lambda head: entry.get(head.target, Admitted(None)),
        )
        expecting = "POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        async with serving(app) as server:
            client = await server.connect()
            client.send(expecting.format("/"))
            assert (await client.head()).status == 100
            client.send("ab")
            assert (await client.reply()).body == b"ok"
            client.get("/slow")
            client.send(expecting.format("/after"))
            assert (await client.reply()).body == b"/slow"  # the interim answer must not overtake this one
            assert (await client.head()).status == 100
            client.send("cd")
            assert (await client.reply()).body == b"ok"
            client.send(expecting.format("/refused"))
            assert (await client.reply()).status == 403
            assert await client.ended()
            client = await server.connect()
            client.send(expecting.format("/").replace("100-continue", "magic"))
            assert (await client.reply()).status == 417

    run(main())


async def later(said: str, seconds: float = 0.02) -> Response:
    await asyncio.sleep(seconds)
    return text(said)


def test_pipelined_requests_are_answered_in_their_order() -> None:
    """Slow, streamed and immediate answers, mixed: each waits for the ones before it."""

    def answer(request: Request) -> object:
        target = request.head.target
        if target.startswith("/slow"):
            return later(target)
        if target.startswith("/stream"):
            return Response(200, (), Pieces(target[:3].encode(), b"", target[3:].encode()))
        if target.startswith("/both"):
            return both(target)
        return text(target)

    async def both(target: str) -> Response:
        await asyncio.sleep(0.01)
        return Response(200, (), Pieces(target.encode()))

    async def main() -> None:
        targets = [f"/{kind}/{n}" for n in range(3) for kind in ("slow", "now", "stream", "now2", "both")]
        async with serving(App(answer)) as server:
            client = await server.connect()
            for target in targets:
                client.get(target)
            assert [(await client.reply()).body.decode() for _ in targets] == targets

    run(main())


def test_an_immediate_answer_makes_no_task_and_a_slow_one_exactly_one() -> None:
    """The hot path stays in the turn of the event loop in which the bytes came."""
    made: list[object] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: object, **options: object) -> asyncio.Task[object]:
        if "hublet" in coro.cr_code.co_filename:
            made.append(coro)
        return asyncio.Task(coro, loop=loop, **options)

    async def main() -> None:
        app = App(lambda request: later("slow") if request.head.target == "/slow" else text("now"))
        async with serving(app) as server:
            client = await server.connect()
            asyncio.get_running_loop().set_task_factory(factory)
            for _ in range(3):
                client.get("/now")
                await client.reply()
            assert made == []
            client.get("/slow")
            await client.reply()
            assert len(made) == 1

    run(main())


def test_the_same_bytes_again_come_as_the_same_head_and_are_admitted_again() -> None:
    """A repeated request is not parsed again, but a token revoked meanwhile is noticed; another one is itself."""

    async def main() -> None:
        app = App()
        async with serving(app) as server:
            client = await server.connect()
            for target in ("/a", "/a", "/b", "/a", "/a"):
                client.get(target)
                assert (await client.reply()).body == f"GET {target} 0".encode()
            heads = [request.head for request in app.requests]
            assert heads[0] is heads[1]
            assert heads[3] is heads[4]
            assert server.listener.counters.requests == 5
            app.entry = lambda head: text("revoked", 401)
            client.get("/a")
            assert (await client.reply()).status == 401
            assert await client.ended()

    run(main())


def test_a_refusal_comes_before_the_body_is_read() -> None:
    """The answer arrives though the body never does, and what still comes is dropped without a reset."""

    async def main() -> None:
        async with serving(App(entry=lambda head: text("no", 403))) as server:
            client = await server.connect()
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n")
            reply = await client.reply()
            assert (reply.status, reply.headers["connection"]) == (403, "close")
            client.send(b"x" * 100_000)
            await client.writer.drain()
            assert await client.ended()
            assert server.app.requests == []
            assert server.listener.counters.refused == 1

    run(main())


def test_a_refusal_reaches_a_client_that_goes_on_sending() -> None:
    """RFC 9112 section 9.6: closing at once would answer those bytes with a reset, which destroys the answer unread."""

    async def main() -> None:
        async with serving(App(entry=lambda head: text("no", 403))) as server:
            loop = asyncio.get_running_loop()
            with socket.create_connection(("127.0.0.1", server.port)) as sock:
                sock.setblocking(False)
                await loop.sock_sendall(sock, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n")
                await until(lambda: server.listener.counters.refused == 1)
                for _ in range(5):
                    await loop.sock_sendall(sock, b"x" * 1000)
                    await asyncio.sleep(0.01)
                assert (await loop.sock_recv(sock, 100)).startswith(b"HTTP/1.1 403 ")

    run(main())


@pytest.mark.parametrize("where", ["entry", "respond", "task"])
def test_an_exception_in_the_application_is_a_500_and_its_text_stays_out_of_the_log(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the type and the place; an exception's text may quote a header or a body."""

    def fail(*_: object) -> Response:
        raise RuntimeError("canary-secret")

    async def fail_later(request: Request) -> Response:
        await asyncio.sleep(0)
        return fail()

    async def main() -> None:
        app = {"entry": App(entry=fail), "respond": App(fail), "task": App(fail_later)}[where]
        async with serving(app) as server:
            client = await server.connect()
            client.get("/", "Authorization: Bearer canary-secret")
            reply = await client.reply()
            assert (reply.status, reply.body) == (500, b'{"message":"internal error"}')
            assert server.listener.counters.failed == 1

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert "RuntimeError" in caplog.text
    assert "test_http1.py" in caplog.text
    assert "canary" not in caplog.text


def test_answers_of_a_client_that_only_stopped_sending_still_arrive() -> None:
    """A half-closed connection: what can be answered at once is, and then it ends."""

    async def main() -> None:
        async with serving(App(lambda request: text("x" * 300_000))) as server:
            client = await server.connect()
            client.writer.transport.pause_reading()
            for _ in range(20):
                client.get()
            client.writer.write_eof()
            await asyncio.sleep(0.1)
            client.writer.transport.resume_reading()
            for _ in range(20):
                assert len((await client.reply()).body) == 300_000
            assert await client.ended()

    run(main())
