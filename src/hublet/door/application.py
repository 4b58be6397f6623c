"""What stands behind the door: the contract between the HTTP server and whoever answers, and the server's limits."""

from __future__ import annotations

import socket
from asyncio import Transport
from collections.abc import Awaitable
from typing import Any, Protocol

from hublet.core.messages import Head, Request, Response
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much, and for how long, one client may ask of the server. Sizes in bytes, times in seconds."""

    head_size: int = 32 * 1024
    header_count: int = 100
    target_size: int = 8 * 1024
    body_size: int = 1024 * 1024
    streamed_body_size: int = 64 * 1024 * 1024
    waiting_requests: int = 32
    connections: int = 4096
    first_time: float = 0.25
    """From the accept to the first byte, for clients that were let in just before the end."""
    held_back: int = 64
    """Refusals that wait at one time (`Connection.hold_back`); further ones are sent at once."""
    head_time: float = 10.0
    """From a head's first byte to its last."""
    body_gap: float = 30.0
    """Between two pieces of a body."""
    body_time: float = 120.0
    """For a whole buffered body; a streamed one is bounded by its size and by `body_gap`."""
    idle_time: float = 75.0
    """Between two requests, and from the accept to the first byte."""
    stalled_time: float = 30.0
    """How long a client may take nothing of an answer that waits for it."""
    linger_time: float = 2.0
    """How long what a refused client still sends is read and thrown away (RFC 9112 section 9.6)."""


class Connection:
    """One accepted connection, as the application sees it. `scratch` is the application's own.

    `hold_back` is the application's word to the door: for how many seconds the refusal that it returns from `admit` is
    kept back. Nothing of the server waits meanwhile, and such a connection is the first to go when room is needed.
    """

    __slots__ = ("family", "hold_back", "scratch", "socket", "transport")

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.socket: Any = transport.get_extra_info("socket")
        """The raw socket, for getsockopt (TCP_INFO, SO_PEERCRED), getpeername and getsockname only."""
        self.family: int = getattr(self.socket, "family", socket.AF_UNSPEC)
        self.scratch: Any = None
        self.hold_back = 0.0


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may be answered: for whom, and whether its body is handed on as a stream."""

    identity: object
    streamed: bool = False
    basis: object = None
    """The application's own: what it decided from."""
    known: bool = True
    """False when anybody is answered this. A connection on which nobody known was admitted can be closed at any moment
    to make room for another one, whatever it is doing."""


class Application(Protocol):
    """Answers requests. Both methods are called on the event loop and must not block it.

    Equal request heads that follow each other on a connection come as the *same* Head object, so that an application
    can remember in `connection.scratch` what it concluded from a head. An answer with `again` is sent once more for as
    long as that says so, without either method.
    """

    def admit(self, head: Head, connection: Connection) -> Admitted | Response:
        """Decide on a request before its body is read. A Response refuses: it is sent and the connection closed."""

    def respond(self, request: Request, admitted: Admitted) -> Response | Awaitable[Response]:
        """Answer. A Response is written in the same turn of the event loop; an awaitable becomes a task, which is
        cancelled when the client goes away. The iterator of a streamed body is always closed (`aclose`)."""


@dataclass(slots=True)
class Counters:
    """What the server saw since it started."""

    connections: int = 0
    requests: int = 0
    refused: int = 0
    """Refused by the application's `admit`."""
    malformed: int = 0
    """400, 413, 414, 417, 431, 505: the bytes could not become a request."""
    timed_out: int = 0
    evicted: int = 0
    """Closed while waiting, to make room for a newer connection."""
    turned_away: int = 0
    """Answered 503 because there was no room."""
    failed: int = 0
    """The application raised: 500."""
    held_back: int = 0
    """How many refusals wait now."""


class Keeper(Protocol):
    """Who owns a connection: told when it opens and closes, and by when it wants to be looked at."""

    counters: Counters

    def opened(self, connection: Any) -> Response | None: ...

    def closed(self, connection: Any) -> None: ...

    def watch(self, deadline: float) -> None: ...
