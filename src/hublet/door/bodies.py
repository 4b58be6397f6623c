"""A request's body while it comes: collected whole, or handed on piece by piece."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from hublet.core.messages import Head, Request, Response
from hublet.door.application import Admitted

full_at = 64 * 1024
"""A streamed body that holds this much unread is read no further from the network."""


class BodyStream:
    """A request's body as an async iterator, with one reader.

    Transitions: open → ended (all of it came) | broken (the client went away or sent something malformed; the reader
    gets the error after the pieces that came before it).
    """

    def __init__(self, taken: Callable[[], None]) -> None:
        self._taken = taken
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def full(self) -> bool:
        return self._size >= full_at

    def push(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        self._wake()

    def end(self) -> None:
        self._ended = True
        self._wake()

    def abort(self, error: Exception) -> None:
        if not self._ended and self._error is None:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> BodyStream:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        was_full = self.full
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if was_full and not self.full:
            self._taken()
        return piece


class Exchange:
    """One request on its way through a connection, and what is to happen after its answer.

    Transitions: head complete → body complete → answered; or refused, which takes the place of an answer.
    """

    __slots__ = (
        "admitted", "close", "collected", "complete", "expects", "has_body", "head", "old", "refusal", "request",
        "size", "started", "stream",
    )  # fmt: skip

    def __init__(self, head: Head, *, close: bool = False, old: bool = False) -> None:
        self.head = head
        self.close = close
        self.old = old
        """HTTP/1.0: keep-alive must be said, chunks are not understood."""
        self.admitted: Admitted | None = None
        self.refusal: Response | None = None
        self.request: Request | None = None
        self.has_body = False
        self.expects = False
        """The client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1)."""
        self.collected = bytearray()
        """What came of a body that is handed on whole: one buffer, so that it takes no more memory in small pieces."""
        self.size = 0
        self.stream: BodyStream | None = None
        self.complete = False
        self.started = False
        """The first byte of the answer was written: too late for another status."""

    @property
    def plain(self) -> bool:
        """A request that leaves nothing behind: no body, and the connection goes on."""
        return not (self.has_body or self.close or self.stream is not None)


def refused(response: Response, head: Head | None = None) -> Exchange:
    """The last exchange of a connection: its answer is known, and nothing is read after it."""
    exchange = Exchange(head or Head("", ""), close=True)
    exchange.refusal = response
    return exchange
