"""The outgoing half of a connection: requests are answered one at a time and in order (RFC 9112 section 9.3.2).

An answer that is ready is written at once. One that has to be awaited, is streamed or is held back has a task. A
connection has one task at most.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, cast

from hublet.core.messages import Head, Response, error_response
from hublet.door import encoding
from hublet.door.application import Admitted, Application, Connection, Keeper, Limits
from hublet.door.bodies import Exchange, refused
from hublet.door.reading import Phase, RequestReader

log = logging.getLogger("hublet.door")
internal_error = error_response(500, "internal error")
Repeat = tuple[Callable[[], bool], bytes, bytes]
"""An answer that may be sent again: `Response.again`, which tells whether it still may, the head without a date, the
body."""
join_below = 128 * 1024
"""Bytes. A body smaller than this is joined to its head: up to this size copying it costs less than a second system
call (a fifth of one at 50 KB)."""
gather_from = 8 * 1024
"""Bytes. Where `gathers` holds, a body of this size or more is not copied: 4 % less processor time at 50 KB, 8 % at
1 MB."""


def gathers(transport: asyncio.BaseTransport) -> bool:
    """Whether `transport.writelines` sends several pieces with one system call, and calls `pause_writing` when it is
    full as `write` does.

    uvloop's does both. asyncio's joins the pieces before Python 3.12, and in some later versions it does not call
    `pause_writing` (CVE-2024-12254), so that a client that does not read could fill the memory.
    """
    return type(transport).__module__.startswith("uvloop.")


class ResponseWriter(RequestReader):
    """Answers the requests that the reader finds. `Http1` sets the transport and tells when there is room to write."""

    _transport: asyncio.Transport
    connection: Connection

    def __init__(self, application: Application, keeper: Keeper, limits: Limits) -> None:
        super().__init__(limits, keeper.counters)
        self._application = application
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Exchange] = deque()
        self._task: asyncio.Task[None] | None = None
        self._holding_back = False
        """The task is a refusal that is held back."""
        self._cancelled = False
        self._answering: Exchange | None = None
        self._sent: Repeat | None = None
        """The last answer, if it may be sent again unchanged."""
        self._leftover: AsyncIterator[bytes] | None = None
        """The body of an answer whose task has not begun: cancelled now, the task would not close the iterator."""
        self._writable = True
        self._gathers = False
        self._room: asyncio.Future[None] | None = None
        self._held = b""
        """Bytes that came and are not parsed yet, because no more requests may wait."""
        self._gone = False
        self._draining = False
        self._known = False
        """Whether a client that the application knows has been admitted on this connection."""

    def _free(self) -> bool:
        """Whether an answer can be written now."""
        return self._task is None and self._writable and not self._queue

    # What the layer above does (http1.py).

    @abstractmethod
    def _resume(self) -> None:
        """Go on with bytes that came and could not be parsed yet."""

    @abstractmethod
    def _turn_tap(self) -> None:
        """Begin or stop to read from the network, by whether there is room."""

    @abstractmethod
    def _due(self) -> float:
        """When the client is too slow if nothing happens before, by the loop's clock."""

    # -- what the reader found -----------------------------------------------------------------------------------------

    def _admitted(self, exchange: Exchange) -> bool:
        """Ask the application. False when it refused or failed; then the connection is ending."""
        try:
            outcome = self._application.admit(exchange.head, self.connection)
        except Exception as error:  # noqa: BLE001  whatever the application raises is a 500
            self._fail(self._internal(error), exchange.head)
            return False
        if isinstance(outcome, Response):
            self._counters.refused += 1
            self._fail(outcome, exchange.head)
            return False
        exchange.admitted = outcome
        self._known = self._known or outcome.known
        return True

    def _body_wanted(self, exchange: Exchange) -> None:
        """Called when a request with a body was admitted and none of the body has been parsed."""
        if exchange.stream is not None:
            self._queue.append(exchange)
            self._pump()
        elif exchange.expects and self._free():
            self._say_continue(exchange)

    def _whole(self, exchange: Exchange) -> None:
        """Called when a request is complete."""
        if self._free() and exchange.stream is None:
            self._answer(exchange)
        elif exchange.stream is None:
            self._queue.append(exchange)

    def _fail(self, response: Response, head: Head | None = None) -> None:
        """Send `response` once all earlier requests are answered, then close. Nothing more is read as a request."""
        broken = self._exchange
        self._phase, self._exchange, self._held = Phase.DISCARD, None, b""
        if broken is not None and broken.stream is not None:
            broken.stream.abort(ConnectionAbortedError("the request's body was malformed"))
            if broken is self._answering:
                self._cancel()  # the error takes the place of its answer, unless that has begun
            elif broken in self._queue:
                self._queue.remove(broken)
        self._queue.append(refused(response, head))
        self._pump()

    # -- answers go out ------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Answer the requests in the queue, in order, until one has to be awaited."""
        while self._queue and self._free_but_queue():
            self._answer(self._queue.popleft())
        waiting = self._exchange
        if waiting is not None and waiting.expects and waiting.stream is None and self._free():
            self._say_continue(waiting)
        self._resume()

    def _free_but_queue(self) -> bool:
        return self._task is None and self._writable and not self._gone

    def _say_continue(self, exchange: Exchange) -> None:
        exchange.expects = False
        if exchange.size == 0 and not self._gone:
            self._transport.write(encoding.continue_100)

    def _answer(self, exchange: Exchange) -> None:
        self._sent = None
        if exchange.refusal is not None:
            wait, self.connection.hold_back = self.connection.hold_back, 0.0
            if wait and self._counters.held_back < self._limits.held_back:
                self._holding_back = True
                self._spawn(exchange, self._refuse_later(exchange, exchange.refusal, wait), None)
            else:
                self._send(exchange, exchange.refusal)
            return
        if exchange.expects:
            self._say_continue(exchange)
        try:
            reply = self._application.respond(cast("Any", exchange.request), cast("Admitted", exchange.admitted))
        except Exception as error:  # noqa: BLE001  whatever the application raises is a 500
            reply = self._internal(error)
        if isinstance(reply, Response):
            self._send(exchange, reply)
        else:
            self._spawn(exchange, self._answer_later(exchange, reply), reply)

    def _closes(self, exchange: Exchange) -> bool:
        """Whether this is the connection's last answer."""
        coming = self._queue or self._phase in (Phase.HEAD, Phase.BODY)
        last = self._draining and not coming
        unread = exchange.stream is not None and not exchange.complete
        return exchange.close or last or unread

    def _send(self, exchange: Exchange, response: Response) -> None:
        """Write a whole response now, or begin to stream it. A response with an impossible head becomes a 500."""
        body = response.body
        if self._gone:
            return
        if not isinstance(body, bytes):
            self._spawn(exchange, self._stream(exchange, response), None)
            self._leftover = body
            return
        try:
            head = encoding.head_of(response)
        except ValueError as error:
            response = self._internal(error)
            head, body = encoding.head_of(response), cast("bytes", response.body)
        if exchange.head.method == "HEAD" or not encoding.has_content(response.status):
            body = b""
        close = self._closes(exchange)
        if close:
            ending = encoding.date_line() + encoding.closing
        elif exchange.old:
            ending = encoding.date_line() + encoding.keeping
        else:
            ending = encoding.date_line(end=True)
            if exchange.head.method == "GET" and response.again is not None:
                self._sent = response.again, head, body
        self._write(head, ending, body)
        if close:
            self._close(exchange)

    def _write(self, head: bytes, ending: bytes, body: bytes) -> None:
        if self._gathers and len(body) >= gather_from:
            self._transport.writelines((head, ending, body))
        elif len(body) < join_below:
            self._transport.write(b"%b%b%b" % (head, ending, body))
        else:
            self._transport.write(head + ending)
            self._transport.write(body)

    def _close(self, exchange: Exchange) -> None:
        """End the connection after its last answer (RFC 9112 section 9.6).

        When the client may still be sending, only our side is closed first and what it sends is dropped: closing both
        at once would reset the connection, and the client could lose the answer before it has read it.
        """
        self._queue.clear()
        unread = exchange.refusal is not None or not exchange.complete or self._exchange is not None or self._held
        self._phase, self._exchange, self._held, self._since = Phase.DISCARD, None, b"", self._loop.time()
        if self._transport.is_closing() or not unread or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self._keeper.watch(self._since + self._limits.linger_time)
        self._turn_tap()

    # -- answers that take their time ----------------------------------------------------------------------------------

    def _spawn(self, exchange: Exchange, work: Coroutine[Any, Any, None], reply: Awaitable[Response] | None) -> None:
        task = self._loop.create_task(work)
        self._task, self._answering, self._cancelled = task, exchange, False

        def ended(task: asyncio.Task[None]) -> None:
            # A task that is cancelled before its first step has not awaited `reply`, which has to be closed then.
            if reply is not None and hasattr(reply, "close"):
                reply.close()
            self._task = self._answering = None
            if self._leftover is not None:
                body, self._leftover = self._leftover, None
                self._spawn(exchange, self._drop(body), None)
                self._cancelled = True
                self._transport.abort()
            elif (task.cancelled() or task.exception()) and (exchange.started or self._phase is not Phase.DISCARD):
                self._transport.abort()  # half an answer must not look like a whole one
            if not self._gone:
                self._pump()
                self._keeper.watch(self._due())

        task.add_done_callback(ended)

    def _cancel(self) -> None:
        """Cancel the task of the present answer, once: a second cancel would interrupt its clean-up."""
        if self._task is not None and not self._cancelled:
            self._cancelled = True
            self._task.cancel()

    async def _drop(self, body: AsyncIterator[bytes]) -> None:
        """Close the iterator of an answer's body. An error in that can only be logged."""
        try:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()
        except Exception as error:  # noqa: BLE001
            self._internal(error)

    async def _refuse_later(self, exchange: Exchange, refusal: Response, wait: float) -> None:
        self._counters.held_back += 1
        try:
            await asyncio.sleep(wait)
        finally:
            self._counters.held_back -= 1
        self._send(exchange, refusal)

    async def _answer_later(self, exchange: Exchange, reply: Awaitable[Response]) -> None:
        try:
            response = await reply
        except Exception as error:  # noqa: BLE001  whatever the application raises is a 500
            response = self._internal(error)
        if isinstance(response.body, bytes):
            self._send(exchange, response)
        else:
            self._leftover = response.body
            await self._stream(exchange, response)

    async def _stream(self, exchange: Exchange, response: Response) -> None:
        """Send a body piece by piece. When its iterator fails, the last chunk is not sent and the connection is
        aborted: the client must see that the body is not whole."""
        body = cast("AsyncIterator[bytes]", response.body)
        self._leftover = None
        try:
            try:
                head = encoding.head_of(response)
            except ValueError as error:
                self._send(exchange, self._internal(error))
                return
            content = encoding.has_content(response.status)
            if content and not exchange.old:
                head += encoding.chunked
            close = self._closes(exchange) or (content and exchange.old)
            exchange.started = True
            self._transport.write(head + encoding.date_line() + (encoding.closing if close else b"\r\n"))
            if content and exchange.head.method != "HEAD":
                async for piece in body:
                    if piece:
                        self._transport.write(piece if exchange.old else encoding.chunk(piece))
                    if not self._writable:
                        await self._until_room()
                if not exchange.old:
                    self._transport.write(encoding.last_chunk)
            if close or self._closes(exchange):
                self._close(exchange)
        except Exception as error:  # noqa: BLE001
            self._internal(error)
            self._transport.abort()
        finally:
            self._cancelled = True  # only the clean-up is left, which the end of the connection must not interrupt
            await self._drop(body)

    async def _until_room(self) -> None:
        self._room = self._loop.create_future()
        try:
            await self._room
        finally:
            self._room = None

    def _internal(self, error: Exception) -> Response:
        """Log the places in the code where the application failed, and return the 500. The exception's text is left
        out: it may quote a header or a body."""
        self._counters.failed += 1
        places, frame = [], error.__traceback__
        while frame is not None:
            places.append(f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}")
            frame = frame.tb_next
        log.error("a request failed with %s at %s", type(error).__name__, " > ".join(places[-4:]))
        return internal_error
