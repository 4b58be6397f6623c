"""The door's HTTP/1.1 and h11's, given the same bytes: what each of them takes for requests.

Run as a program it is a target for atheris, which looks for bytes that take new ways through the door's code:

    python -m tests.faults.two_parsers -max_total_time=60 CORPUS_DIRECTORY
"""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass, field
from typing import Any

import h11

Understood = tuple[str, str, bytes]
"""Method, target and body of a request."""
MOST_BODY = 1000
_EMPTY_LINES = re.compile(rb"\A[\r\n]+")
"""llhttp passes over any line ends before a request, and h11 knows none (RFC 9112 section 2.2 lets empty lines be)."""
_BLANKS = (re.compile(rb"\A([A-Z]+) +"), re.compile(rb"\A([A-Z]+ [^ \r\n]+) +"))
"""llhttp takes several blanks behind the method and behind the target (RFC 9112 section 3 allows that), h11 does not:
nobody can smuggle anything by them."""


class Wire(asyncio.Transport):
    """The border: a transport that keeps what is written and says when the connection is over."""

    def __init__(self) -> None:
        super().__init__()
        self.said = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.said += bytes(data)

    def write_eof(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


def _app(understood: list[Understood]) -> Any:
    from hublet.core.messages import Head, Request, Response
    from hublet.door.application import Admitted, Connection

    class App:
        def admit(self, head: Head, connection: Connection) -> Admitted:
            return Admitted(None)

        def respond(self, request: Request, admitted: Admitted) -> Response:
            understood.append((request.head.method, request.head.target, request.body))
            return Response(200, (("Content-Type", "text/plain"),), b"ok")

    return App()


def ours(pieces: list[bytes]) -> tuple[list[Understood], bytes, bool]:
    """The requests that the door understood, what it said (without Date), and whether it ended the connection."""
    from hublet.door.application import Counters, Limits
    from hublet.door.http1 import Http1

    @dataclass
    class Keeper:
        counters: Counters = field(default_factory=Counters)

        def opened(self, connection: Any) -> None: ...

        def closed(self, connection: Any) -> None: ...

        def watch(self, deadline: float) -> None: ...

    async def main() -> tuple[list[Understood], bytes, bool]:
        understood: list[Understood] = []
        keeper, wire = Keeper(), Wire()
        connection = Http1(_app(understood), keeper, Limits(body_size=MOST_BODY))
        connection.connection_made(wire)
        for piece in pieces:
            if piece:
                connection.data_received(piece)
        closed = wire.closed
        connection.connection_lost(None)
        assert keeper.counters.failed == 0
        return understood, re.sub(rb"Date: [^\r]*\r\n", b"", wire.said), closed

    return asyncio.run(main()) if _loop is None else _loop.run_until_complete(main())


_loop: asyncio.AbstractEventLoop | None = None


def theirs(data: bytes) -> list[Understood]:
    """The requests that h11 understands before it refuses something or the bytes end."""
    found: list[Understood] = []
    while True:
        data = _EMPTY_LINES.sub(b"", data)
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
        received = data
        for blanks in _BLANKS:
            received = blanks.sub(rb"\1 ", received)
        connection.receive_data(received)
        request, body = None, b""
        try:
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                else:
                    return found
        except h11.RemoteProtocolError:
            return found
        assert request is not None
        found.append((request.method.decode(), request.target.decode(), body))
        data = connection.trailing_data[0]


def compare(data: bytes, cut: int) -> None:
    """Raises AssertionError where the door takes for a request what h11 does not, or what it understands depends on how
    the bytes are cut. (That the door refuses more is as it should be.)"""
    understood, said, closed = ours([data])
    assert ours([data[:cut], data[cut:]]) == (understood, said, closed), "it depends on the cut"
    assert ours([data[at : at + 1] for at in range(len(data))]) == (understood, said, closed), "it depends on the cut"
    assert len(re.findall(rb"HTTP/1\.1 200 ", said)) == len(understood), "an answer too many or too few"
    reference = theirs(data)
    assert understood == reference[: len(understood)], (
        f"h11 understands something else: {data!r}: {understood} and {reference}"
    )


def one_input(data: bytes) -> None:
    """For atheris: the first byte says where to cut."""
    if data:
        compare(data[1:], data[0] % (len(data) or 1))


if __name__ == "__main__":
    import atheris

    with atheris.instrument_imports(include=["hublet"]):
        import hublet.door.http1  # noqa: F401
    _loop = asyncio.new_event_loop()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
