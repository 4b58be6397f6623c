"""Real bytes over real sockets: a server around a small application, and a client that reads answers strictly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hublet.core.messages import Head, Request, Response
from hublet.door.application import Admitted, Connection, Limits
from hublet.door.binding import bind_loopback
from hublet.door.listeners import Listener

T = TypeVar("T")
Answer = Response | Awaitable[Response]
nobody = Admitted(None)


def text(body: str, status: int = 200, *headers: tuple[str, str]) -> Response:
    return Response(status, (("Content-Type", "text/plain"), *headers), body.encode())


def echo(request: Request) -> Answer:
    """Answers with what it was asked, so that a mix-up of requests shows."""
    return text(f"{request.head.method} {request.head.target} {len(request.body)}")


@dataclass
class App:
    """The application of a test: `answer` and `entry` decide; the requests that came are kept."""

    answer: Callable[[Request], Answer] = echo
    entry: Callable[[Head], Admitted | Response] = lambda head: nobody
    requests: list[Request] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)

    def admit(self, head: Head, connection: Connection) -> Admitted | Response:
        self.connections.append(connection)
        return self.entry(head)

    def respond(self, request: Request, admitted: Admitted) -> Answer:
        self.requests.append(request)
        return self.answer(request)


class Pieces:
    """A streamed body that notes whether it was closed."""

    def __init__(self, *pieces: bytes, then: Exception | None = None, endless: bool = False) -> None:
        self.pieces, self.then, self.endless = list(pieces), then, endless
        self.taken, self.closed = 0, False

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        self.taken += 1
        if self.endless:
            return self.pieces[0]
        if self.pieces:
            return self.pieces.pop(0)
        if self.then is not None:
            raise self.then
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed = True


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One connection. Reads what a strict HTTP/1.1 client would, and fails on anything else."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *data: str | bytes) -> None:
        for piece in data:
            self.writer.write(piece.encode("latin-1") if isinstance(piece, str) else piece)

    def get(self, target: str = "/", *headers: str, method: str = "GET", version: str = "1.1") -> None:
        lines = [f"{method} {target} HTTP/{version}", "Host: localhost", *headers]
        self.send("\r\n".join(lines) + "\r\n\r\n")

    async def head(self) -> Reply:
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("ascii")
        status, *lines = raw[:-4].split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), f"a header was sent twice: {lines}"
        assert status.startswith("HTTP/1.1 ")
        return Reply(int(status.split(" ")[1]), headers, b"")

    async def reply(self, *, of_head: bool = False) -> Reply:
        reply = await self.head()
        if of_head or reply.status in (100, 204, 304):
            return reply
        if reply.headers.get("transfer-encoding") == "chunked":
            reply.body = b"".join([piece async for piece in self.chunks()])
        elif "content-length" in reply.headers:
            reply.body = await self.reader.readexactly(int(reply.headers["content-length"]))
        else:
            reply.body = await self.reader.read()
        return reply

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            size = int((await self.reader.readuntil(b"\r\n"))[:-2], 16)
            data = await self.reader.readexactly(size + 2)
            assert data[-2:] == b"\r\n"
            if size == 0:
                return
            yield data[:-2]

    async def ended(self) -> bool:
        """Whether the server closes the connection and says nothing more."""
        return await asyncio.wait_for(self.reader.read(), 5) == b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


class Server:
    def __init__(self, listener: Listener, port: int, app: Any) -> None:
        self.listener, self.port, self.app = listener, port, app
        self.clients: list[Client] = []

    async def connect(self, address: str = "127.0.0.1") -> Client:
        client = Client(*await asyncio.open_connection(address, self.port))
        self.clients.append(client)
        return client


@asynccontextmanager
async def serving(app: Any = None, limits: Limits | None = None, sweep_time: float = 0.02) -> AsyncIterator[Server]:
    app = app or App()
    listener = Listener(limits, sweep_time=sweep_time)
    sockets = bind_loopback(0)
    for sock in sockets:
        await listener.serve(sock, app)
    server = Server(listener, sockets[0].getsockname()[1], app)
    try:
        yield server
    finally:
        for client in server.clients:
            client.writer.transport.abort()  # not close(), which would wait for a server that reads no more
            await client.close()
        await listener.drain(1)
        assert len(listener) == 0
        assert not listener.sweeping


def run(main: Coroutine[Any, Any, T], *, loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    """Run a test's coroutine on a loop that asyncio or `loop` makes. Fails when the loop reports an error or a task is
    left over."""

    async def watched() -> T:
        troubles: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
        result = await asyncio.wait_for(main, 30)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.sleep(0)
        assert not troubles, troubles
        assert not [task for task in left if not task.done()]
        return result

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(watched())


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until a condition holds; fails when it does not within some seconds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
