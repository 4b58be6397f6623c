"""HTTP/1.1 and 1.0 on one connection (RFC 9112): bytes become requests, responses become bytes, in order.

Three layers, each a class that inherits from the one before: `RequestReader` parses, `ResponseWriter` answers, and
`Http1` here connects both to a transport and keeps time. A request that can be answered at once goes through no queue,
no task and no timer. A request whose bytes equal those of the request before it, which is what a polling client sends,
is not even parsed.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import cast

from hublet.core.messages import error_response
from hublet.door import encoding
from hublet.door.application import Admitted, Application, Connection, Keeper, Limits
from hublet.door.bodies import Exchange
from hublet.door.reading import Phase
from hublet.door.writing import Repeat, ResponseWriter, gathers

__all__ = ["Admitted", "Application", "Connection", "Http1", "Limits"]

timed_out = error_response(408, "the request did not arrive in time")

_answers_a_turn = 2
"""How many requests of a client that pipelines are answered in one turn of the loop, before other connections' turn."""
_crowding_slice = 128
"""How many bytes are parsed at once of a client that had more requests than one turn allows: a request or two."""


class Http1(ResponseWriter, asyncio.Protocol):
    """One connection, created with each accept and owned by `keeper` (the Listener)."""

    def __init__(self, application: Application, keeper: Keeper, limits: Limits) -> None:
        super().__init__(application, keeper, limits)
        self._reading = True
        self._unsent = 0
        self._stalled_since = 0.0
        self._crowding = False
        self._seen = b""
        """The bytes of the last request, if they came alone and whole and the request had no body."""
        self._seen_exchange: Exchange | None = None
        self._repeat: Repeat | None = None
        """The answer to that request, if it may be sent again unchanged."""

    # -- the connection opens, ends, stalls ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._gathers = gathers(self._transport)
        self.connection = Connection(self._transport)
        self._since = self._loop.time()
        refusal = self._keeper.opened(self)
        if refusal is not None:
            self._fail(refusal)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self._gone = True
        self._phase = Phase.CLOSED
        self._queue.clear()
        self._seen, self._held, self._repeat = b"", b"", None
        self._break_streams(ConnectionResetError("the client went away"))
        del self._parser  # it refers back to us: without this only the garbage collector would free a connection
        self._cancel()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._keeper.closed(self)

    def eof_received(self) -> None:
        """The client sends no more. asyncio closes the transport once everything written has gone out.

        An answer that a task is still working on is cancelled: a client that only closed its sending side looks the
        same as one that has gone. No finished answer is lost, because while answers wait for room nothing is read, and
        so the end is not seen before the last of them was written.
        """
        self._phase = Phase.CLOSED
        self._queue.clear()
        self._break_streams(ConnectionResetError("the client went away"))
        self._cancel()

    def pause_writing(self) -> None:
        self._writable = False
        self._unsent = self._transport.get_write_buffer_size()
        self._stalled_since = self._loop.time()
        self._keeper.watch(self._stalled_since + self._limits.stalled_time)

    def resume_writing(self) -> None:
        self._writable = True
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._pump()

    # -- bytes come in -------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._since = self._loop.time()
        if data == self._seen and self._phase is Phase.IDLE and self._reading and self._free():
            # The same bytes at the beginning of a message parse to the same request, so they are not parsed again.
            self._counters.requests += 1
            if self._repeat is not None and not self._draining:
                again, head, body = self._repeat
                if again():
                    self._write(head, encoding.date_line(end=True), body)
                    return
            # Admission is asked again: a token or a lock may have changed.
            exchange = cast("Exchange", self._seen_exchange)
            if self._admitted(exchange):
                self._answer(exchange)
                self._repeat = self._sent
        else:
            self._take(data)

    def _must_wait(self) -> bool:
        """Whether nothing more is parsed for now: enough requests wait, the client does not read its answers, nobody
        takes the streamed body, or the server is draining."""
        stream = self._exchange.stream if self._exchange is not None else None
        return (
            len(self._queue) >= self._limits.waiting_requests
            or not self._writable
            or (stream is not None and stream.full)
            or (self._draining and self._phase is Phase.IDLE)
        )

    def _take(self, data: bytes) -> None:
        if self._discarding:
            self._size_discarded += len(data)
            if self._size_discarded > self._limits.body_size:
                self._transport.abort()
            return
        if self._held:
            self._held += data
            return
        fresh = self._phase is Phase.IDLE and self._free() and len(data) <= self.slice_size
        messages, offset = self._messages, 0
        size = _crowding_slice if self._crowding else self.slice_size
        self._crowding = False
        while offset < len(data) and not self._discarding:
            # In slices, because the parser can't be stopped within one. The rest of what a client has pipelined waits
            # as plain bytes in `_held`.
            if self._must_wait():
                self._held = data[offset:]
                break
            if self._messages - messages >= _answers_a_turn:
                self._held = data[offset:]
                self._crowding = True
                self._loop.call_soon(self._next_turn)
                break
            self._parse(data[offset : offset + size])
            offset += size
        if self._phase is Phase.IDLE:
            last = self._last
            if fresh and self._messages == messages + 1 and last is not None and last.plain:
                self._seen, self._seen_exchange, self._repeat = data, last, self._sent
        elif not self._discarding:
            self._keeper.watch(self._due())
        self._turn_tap()

    def _turn_tap(self) -> None:
        """Read from the network exactly as long as there is room for what comes."""
        wanted = not self._held and not self._must_wait()
        if wanted is not self._reading and not self._gone and not self._transport.is_closing():
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
                self._since = self._loop.time()
                self._keeper.watch(self._due())
            else:
                self._transport.pause_reading()

    def _resume(self) -> None:
        """Go on with the bytes in `_held`, now that there may be room."""
        if self._held and not self._must_wait() and not self._gone:
            data, self._held = self._held, b""
            self._since = self._loop.time()
            self._take(data)
        else:
            self._turn_tap()

    def _next_turn(self) -> None:
        """Go on after other connections had their turn. While the server drains, a connection that is between two
        requests is closed instead."""
        if self._draining and self._phase is Phase.IDLE and self._free():
            self._transport.close()
        else:
            self._resume()

    # -- time ----------------------------------------------------------------------------------------------------------

    def _due(self) -> float:
        """The time (of the loop's clock) at which the client is too slow if nothing happens before; inf for none."""
        limits, stream = self._limits, self._exchange.stream if self._exchange is not None else None
        if not self._writable:
            return self._stalled_since + limits.stalled_time
        if self._phase is Phase.DISCARD and not self._queue and self._task is None:
            return self._since + limits.linger_time
        if self._phase is Phase.BODY and self._reading:
            gap = self._since + limits.body_gap
            return gap if stream is not None else min(gap, self._begun + limits.body_time)
        if self._task is not None or self._queue or not self._reading:
            return inf
        if self._phase is Phase.HEAD:
            return self._begun + limits.head_time
        return self._since + limits.idle_time

    def check(self, now: float) -> float:
        """Called by the keeper's sweep: end the connection if its client was too slow. Returns when to check again."""
        if not self._writable:
            unsent = self._transport.get_write_buffer_size()
            if unsent < self._unsent:
                self._unsent, self._stalled_since = unsent, now
        due = self._due()
        if now < due:
            return due
        if self._writable and self._phase in (Phase.HEAD, Phase.BODY):
            self._counters.timed_out += 1
            self._fail(timed_out)
            return self._due()
        if not self._writable:
            self._counters.timed_out += 1
        self.evict()
        return inf

    @property
    def waits(self) -> float:
        """Since when this connection has had no request in work; inf while it has one. The keeper evicts by it.

        When no known client was admitted here, a request in work does not count, and neither do bytes sent or read
        since it began: with bodies that never end such clients would keep others out.
        """
        answering = self._task is not None and not self._holding_back
        busy = answering or bool(self._queue) or not self._writable or self._phase is Phase.BODY
        if not busy:
            return self._since
        return inf if self._known else self._begun

    @property
    def is_new(self) -> bool:
        """Whether the client has connected within `first_time` and its first request has not come yet."""
        untouched = self._messages == 0 and self._phase is Phase.IDLE and not self._held
        return untouched and self._loop.time() - self._since < self._limits.first_time

    def evict(self, *, abort: bool = False) -> None:
        """End the connection, once everything written has gone out. It is ended at once with `abort`, when the client
        does not read its answers, and when something is unsent to a client that is not known, which could keep the
        socket open by not reading to the end."""
        if abort or not self._writable or (not self._known and self._transport.get_write_buffer_size()):
            self._transport.abort()
        else:
            self._transport.close()

    def drain(self) -> None:
        """Answer what has come, then close. A connection that is between two requests is closed at once."""
        self._draining = True
        if self._phase in (Phase.IDLE, Phase.DISCARD) and self._free() and not self._held:
            self._transport.close()
        else:
            self._turn_tap()
