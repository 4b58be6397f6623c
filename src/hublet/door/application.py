"""The contract between the HTTP server and the application that answers its requests, and the server's limits."""

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
    """From the accept to the first byte, for clients that connected just before the server is drained."""
    held_back: int = 64
    """How many refusals may be delayed at one time (`Connection.hold_back`); further ones are sent at once."""
    head_time: float = 10.0
    """From a head's first byte to its last."""
    body_gap: float = 30.0
    """Between two pieces of a body."""
    body_time: float = 120.0
    """For a whole buffered body. A streamed body is bounded by its size and by `body_gap`."""
    idle_time: float = 75.0
    """Between two requests, and from the accept to the first byte."""
    stalled_time: float = 30.0
    """How long a client may read nothing of an answer that is waiting to be sent."""
    linger_time: float = 2.0
    """For how long the bytes that a refused client still sends are read and dropped (RFC 9112 section 9.6)."""


class Connection:
    """One accepted connection, as the application sees it. `scratch` is for the application's own notes.

    The application sets `hold_back` to the number of seconds by which the server delays the refusal that `admit`
    returns. Other connections are served meanwhile; this one counts as waiting and may be closed to make room.
    """

    __slots__ = ("family", "hold_back", "scratch", "socket", "transport")

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.socket: Any = transport.get_extra_info("socket")
        """The raw socket. To be used for getsockopt (TCP_INFO, SO_PEERCRED), getpeername and getsockname only."""
        self.family: int = getattr(self.socket, "family", socket.AF_UNSPEC)
        self.scratch: Any = None
        self.hold_back = 0.0


@dataclass(frozen=True, slots=True)
class Admitted:
    """What `Application.admit` returns for a request that may be answered: for whom, and whether the body is to be
    handed on as a stream instead of being collected."""

    identity: object
    streamed: bool = False
    basis: object = None
    """For the application's own use: what it based its decision on."""
    known: bool = True
    """False when this is answered to anybody. A connection on which no known client was admitted may be closed at any
    moment to make room for another one, whatever it is doing."""


class Application(Protocol):
    """Answers requests. Both methods are called on the event loop and must not block it.

    Equal request heads that follow each other on a connection come as the *same* Head object, so that an application
    can remember in `connection.scratch` what it concluded from a head. A Response with `again` is sent again to equal
    requests, without a call of either method, for as long as `again()` is true.
    """

    def admit(self, head: Head, connection: Connection) -> Admitted | Response:
        """Decide on a request before its body is read. A Response is a refusal: it is sent, and the connection is
        closed."""

    def respond(self, request: Request, admitted: Admitted) -> Response | Awaitable[Response]:
        """Answer a request. A Response is written in the same turn of the event loop. An awaitable becomes a task,
        which is cancelled when the client goes away. The iterator of a streamed body is always closed (`aclose`)."""


@dataclass(slots=True)
class Counters:
    """What the server saw since it started."""

    connections: int = 0
    requests: int = 0
    refused: int = 0
    """Requests that the application's `admit` refused."""
    malformed: int = 0
    """Requests that the server itself refused because they break HTTP or a limit: 400, 413, 414, 417, 431 or 505."""
    timed_out: int = 0
    """Connections whose client was too slow to send a request or to read an answer; idle ones are not counted."""
    evicted: int = 0
    """Connections that were closed while waiting, to make room for a newer one."""
    turned_away: int = 0
    """Connections that were answered 503 because there was no room."""
    failed: int = 0
    """Requests that were answered 500 because the application raised an exception."""
    held_back: int = 0
    """How many refusals are being delayed now."""


class Keeper(Protocol):
    """The owner of the connections (the Listener). Each connection tells it when it opens and closes (a Response from
    `opened` turns the connection away), and at what time of the loop's clock it is to be checked (`watch`)."""

    counters: Counters

    def opened(self, connection: Any) -> Response | None: ...

    def closed(self, connection: Any) -> None: ...

    def watch(self, deadline: float) -> None: ...
