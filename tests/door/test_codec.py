"""Properties: however the bytes are cut, the requests are the same; whatever is asked, the answers keep the order."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from door_talk import App, nobody, run, serving, text
from hypothesis import given, settings
from hypothesis import strategies as st

from hublet.core.messages import Request, Response
from hublet.door.application import Admitted, Counters, Limits
from hublet.door.http1 import Http1

token = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ-_0123456789", min_size=1, max_size=12).map(lambda name: f"X-{name}")
value = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
target = st.text("abcXYZ019/-._~%?&=:@!$'()*+,;", max_size=30).map(lambda path: f"/{path}")


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, tuple[str, str, tuple[tuple[str, str], ...], bytes]]:
    """A request's bytes and what must come of them."""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]))
    path = draw(target)
    headers = [("Host", "localhost"), *draw(st.lists(st.tuples(token, value), max_size=5))]
    body = draw(st.binary(max_size=50)) if method != "GET" else b""
    framed = body
    if body and draw(st.booleans()):
        headers.append(("Transfer-Encoding", "chunked"))
        cut = draw(st.integers(0, len(body)))
        framed = (
            b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part) + b"0\r\n\r\n"
        )
    elif body or draw(st.booleans()):
        headers.append(("Content-Length", str(len(body))))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in headers)]
    raw = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + framed
    expected = tuple((name.lower(), text.strip(" \t")) for name, text in headers)
    return raw, (method, path, expected, body)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(place, len(data)) for place in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


class Sink(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


class Owner:
    """A keeper that keeps no time."""

    def __init__(self) -> None:
        self.counters = Counters()

    def opened(self, connection: object) -> None: ...

    def closed(self, connection: object) -> None: ...

    def watch(self, deadline: float) -> None: ...


@settings(max_examples=150, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=4), st.lists(st.integers(0, 900), max_size=30))
def test_any_cutting_of_the_same_bytes_gives_the_same_requests(
    sent: list[tuple[bytes, tuple[str, str, tuple[tuple[str, str], ...], bytes]]], cuts: list[int]
) -> None:
    """In one piece, in the drawn pieces, and byte by byte; each as often as was sent."""
    data = b"".join(raw for raw, _ in sent)

    async def main() -> None:
        for pieces in ([data], cut(data, cuts), [data[n : n + 1] for n in range(len(data))]):
            app = App(lambda request: text("ok"))
            connection = Http1(app, Owner(), Limits())
            connection.connection_made(Sink())
            for piece in pieces:
                connection.data_received(piece)
            got = [(r.head.method, r.head.target, r.head.headers, r.body) for r in app.requests]
            assert got == [expected for _, expected in sent]
            connection.connection_lost(None)

    run(main())


kinds = st.sampled_from(["now", "slow", "stream", "upload", "huge"])


@settings(max_examples=40, deadline=None)
@given(st.lists(kinds, min_size=1, max_size=12), st.lists(st.integers(0, 3000), max_size=12))
def test_any_sequence_of_requests_is_answered_in_its_order(sequence: list[str], cuts: list[int]) -> None:
    """Immediate, slow, streamed and large answers, streamed uploads, cut anywhere on the way."""

    async def pieces(target: str) -> object:
        for letter in target:
            yield letter.encode()

    async def slow(target: str) -> Response:
        await asyncio.sleep(0.001)
        return text(target)

    async def upload(request: Request) -> Response:
        assert request.stream is not None
        body = b"".join([piece async for piece in request.stream])
        return text(request.head.target if body == b"0123456789" else "wrong body")

    def answer(request: Request) -> object:
        path = request.head.target
        kind = path.split("/")[1]
        if kind == "now":
            return text(path)
        if kind == "slow":
            return slow(path)
        if kind == "stream":
            return Response(200, (), pieces(path))
        return upload(request) if kind == "upload" else text(path + "x" * 100_000)

    def entry(head: object) -> Admitted:
        return Admitted(None, streamed=True) if head.target.startswith("/upload") else nobody

    async def main() -> None:
        async with serving(App(answer, entry)) as server:
            client = await server.connect()
            data = b""
            for n, kind in enumerate(sequence):
                extra = "Content-Length: 10\r\n\r\n0123456789" if kind == "upload" else "\r\n"
                data += f"POST /{kind}/{n} HTTP/1.1\r\nHost: h\r\n{extra}".encode()
            for piece in cut(data, cuts):
                client.send(piece)
                await asyncio.sleep(0)
            for n, kind in enumerate(sequence):
                reply = await client.reply()
                assert reply.body.rstrip(b"x").decode() == f"/{kind}/{n}"

    run(main())
