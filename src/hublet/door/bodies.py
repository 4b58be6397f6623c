"""A request's body while it arrives: collected whole, or handed on piece by piece."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from hublet.core.messages import Head, Request, Response
from hublet.door.application import Admitted

full_at = 64 * 1024
"""Bytes. While a streamed body has this much that nobody has taken, no more is read from the network."""


class BodyStream:
    """A request's body as an async iterator, with one reader. `taken` is called when it is no longer full.

    Transitions: open → ended (all of it came) | broken (the client went away or sent something malformed; the reader
    gets the pieces that came before, and then the error).
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
    """One request on its way through a connection, from its complete head to its answer. `close` says that the
    connection ends after the answer.

    Transitions: head complete → body complete → answered; or → refused in place of an answer.
    """

    __slots__ = (
        "admitted", "close", "collected", "complete", "expects", "has_body", "head", "old", "refusal", "request",
        "size", "started", "stream",
    )  # fmt: skip

    def __init__(self, head: Head, *, close: bool = False, old: bool = False) -> None:
        self.head = head
        self.close = close
        self.old = old
        """An HTTP/1.0 request: keep-alive must be said in the answer, and chunks are not understood."""
        self.admitted: Admitted | None = None
        self.refusal: Response | None = None
        self.request: Request | None = None
        self.has_body = False
        self.expects = False
        """Whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1)."""
        self.collected = bytearray()
        """What has come of a body that is handed on whole: one buffer, so that small pieces take no more memory."""
        self.size = 0
        self.stream: BodyStream | None = None
        self.complete = False
        self.started = False
        """Whether the first byte of a streamed answer was written: then it is too late for another status."""

    @property
    def plain(self) -> bool:
        """Whether the request has no body and the connection goes on after it."""
        return not (self.has_body or self.close or self.stream is not None)


def refused(response: Response, head: Head | None = None) -> Exchange:
    """The last exchange of a connection: it is answered with `response`, and nothing is read after it."""
    exchange = Exchange(head or Head("", ""), close=True)
    exchange.refusal = response
    return exchange
