"""From bytes to requests: llhttp (httptools) parses with its lenient flags off, and its gaps are checked here.

llhttp itself refuses bare LF, obs-fold, spaces before a colon, control characters in values, duplicate or non-digit
Content-Length, Content-Length beside Transfer-Encoding and bad chunk sizes. It accepts the following, which are refused
here: any transfer coding other than exactly `chunked`, a transfer coding in HTTP/1.0, the versions 0.9 and 2.0, a
fragment in the target, a missing or second Host, and an upgrade (after which llhttp would stop reading HTTP).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from hublet.core.messages import Head, Request, Response, error_response
from hublet.door.application import Counters, Limits
from hublet.door.bodies import BodyStream, Exchange


class Phase(Enum):
    """What a connection's next incoming byte belongs to.

    Transitions: IDLE → HEAD → BODY → IDLE; any → DISCARD once nothing more is read as a request; any → CLOSED.
    """

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    DISCARD = "discard"
    CLOSED = "closed"


class Stop(Exception):  # not an error, but the only way out of llhttp, which a callback can't pause
    """Raised in a parser callback once it is decided that the connection ends."""


_names: dict[bytes, str] = {
    name.encode(): name.lower()
    for lower in (
        *("accept", "accept-encoding", "accept-language", "authorization", "cache-control", "connection"),
        *("content-length", "content-type", "expect", "host", "if-none-match", "origin", "referer"),
        *("sec-fetch-mode", "transfer-encoding", "user-agent", "x-extension-version", "x-is-prerelease"),
    )
    for name in (lower, lower.title())
}
_framing = frozenset(("host", "transfer-encoding", "content-length", "expect"))
chunk_overhead = 16
"""How many bytes of chunk framing are allowed for each byte of body, beyond the size of one head. Chunk extensions and
trailers have no use here, and without a bound a client could send any amount of them (RFC 9112 section 7.1.1)."""


class RequestReader(ABC):
    """The incoming half of a connection. It passes what it finds to methods that the layers above fill in."""

    slice_size = 4096

    def __init__(self, limits: Limits, counters: Counters) -> None:
        self._limits = limits
        self._counters = counters
        self._parser = HttpRequestParser(self)
        self._phase = Phase.IDLE
        self._exchange: Exchange | None = None
        self._last: Exchange | None = None
        self._messages = 0
        self._since = 0.0
        """When bytes last came, by the loop's clock."""
        self._begun = 0.0
        """When the first byte of the present request came."""
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._counted = 0
        self._fed = 0
        self._size_discarded = 0

    @property
    def _discarding(self) -> bool:
        """Whether the connection is ending: nothing more is read as a request."""
        return self._phase is Phase.DISCARD

    # What the layers above do with what was read (writing.py and http1.py). A class that leaves one out can't be made.

    @abstractmethod
    def _admitted(self, exchange: Exchange) -> bool:
        """The head of a request is complete. Whether its body is wanted, if it has one."""

    @abstractmethod
    def _body_wanted(self, exchange: Exchange) -> None:
        """A request with a body is admitted, and none of the body has been parsed."""

    @abstractmethod
    def _whole(self, exchange: Exchange) -> None:
        """The request is complete."""

    @abstractmethod
    def _pump(self) -> None:
        """Answer what waits, as far as there is room for answers."""

    @abstractmethod
    def _fail(self, response: Response, head: Head | None = None) -> None:
        """Answer with an error, the last answer on this connection."""

    @abstractmethod
    def _internal(self, error: Exception) -> Response:
        """Log an error that nobody expected; the response to answer with."""

    def _refuse(self, status: int, message: str) -> Stop:
        """End the connection with an error of the server's own. A parser callback raises the Stop that is returned."""
        self._counters.malformed += 1
        self._fail(error_response(status, message))
        return Stop()

    def _parse(self, data: bytes) -> None:
        """Feed one slice to the parser. Afterwards the phase says where the message stands."""
        messages = self._messages
        if self._phase is Phase.IDLE:
            self._begun = self._since
        else:
            self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError as error:
            if not self._discarding:
                cause = error.__context__
                self._fail(self._internal(cause if isinstance(cause, Exception) else error))
        except HttpParserUpgrade:  # on_headers_complete refuses upgrades before; never go on reading
            self._refuse(400, "an upgrade is not possible here")
        except HttpParserError as error:
            if not self._discarding:
                self._refuse(400, f"the request is malformed: {error}")
        if self._phase is Phase.IDLE and self._messages == messages:
            self._phase = Phase.HEAD  # only empty lines so far (RFC 9112 section 2.2): the time limit runs
        if self._phase is Phase.HEAD and self._fed > self._limits.head_size:
            self._refuse(431, "the request's head is too large")
        elif self._phase is Phase.BODY:
            size = self._exchange.size if self._exchange is not None else 0
            if self._fed - size > self._limits.head_size + chunk_overhead * size:
                self._refuse(400, "the body's chunks have too much around them")

    # -- llhttp's callbacks --------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._phase = Phase.HEAD
        self._begun = self._since
        self._target = b""
        self._headers = []
        self._counted = self._fed = 0

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > self._limits.target_size:
            raise self._refuse(414, "the request's target is too long")

    def on_header(self, name: bytes, value: bytes | None) -> None:
        value = value or b""
        self._counted += len(name) + len(value) + 4
        if self._counted + len(self._target) > self._limits.head_size:
            raise self._refuse(431, "the request's head is too large")
        if self._phase is Phase.BODY:
            return  # a trailer: counted, and dropped (RFC 9110 section 6.5.1)
        if len(self._headers) >= self._limits.header_count:
            raise self._refuse(431, "the request has too many headers")
        # llhttp leaves blanks after a value, which are not part of it (RFC 9112 section 5.1)
        self._headers.append((_names.get(name) or name.lower().decode("latin-1"), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        parser = self._parser
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise self._refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        if b"#" in self._target:
            raise self._refuse(400, "the target has a fragment")
        head = Head(parser.get_method().decode("ascii"), self._target.decode("latin-1"), tuple(self._headers))
        exchange = Exchange(head, close=not parser.should_keep_alive(), old=version == "1.0")
        length = self._framing(exchange)
        self._counters.requests += 1
        if not self._admitted(exchange):
            raise Stop
        if parser.should_upgrade():
            raise self._refuse(400, "an upgrade is not possible here")
        streamed = exchange.admitted is not None and exchange.admitted.streamed
        if length > (self._limits.streamed_body_size if streamed else self._limits.body_size):
            raise self._refuse(413, "the request's body is too large")
        self._phase, self._exchange, self._fed, self._counted = Phase.BODY, exchange, 0, 0
        if streamed:
            exchange.stream = BodyStream(self._pump)
            exchange.request = Request(head, stream=exchange.stream)
        if exchange.has_body or streamed:
            self._body_wanted(exchange)
            if self._phase is not Phase.BODY:
                raise Stop  # answered without its body, which ends the connection

    def _framing(self, exchange: Exchange) -> int:
        """The body's length (RFC 9112 section 6.3), 0 when it is chunked. Sets `has_body` and `expects`.

        Raises Stop for whatever two parsers could read differently: that is how requests are smuggled (section 11.2).
        """
        hosts = length = 0
        for name, value in exchange.head.headers:
            if name not in _framing:
                continue
            if name == "host":
                hosts += 1
            elif name == "content-length":
                length = int(value)  # llhttp made sure of digits, of one such header, and of 64 bits
                exchange.has_body = length > 0
            elif name == "transfer-encoding":
                if value.lower() != "chunked" or exchange.old:
                    raise self._refuse(400, "the only transfer coding is chunked, in HTTP/1.1")
                exchange.has_body = True
            elif value.lower() != "100-continue":
                raise self._refuse(417, "the only expectation is 100-continue")
            else:
                exchange.expects = not exchange.old
        if hosts > 1 or (hosts == 0 and not exchange.old):
            raise self._refuse(400, "a request has exactly one Host header")  # RFC 9112 section 3.2
        exchange.expects = exchange.expects and exchange.has_body
        return length

    def on_body(self, piece: bytes) -> None:
        exchange = self._exchange
        assert exchange is not None  # set when the head was complete
        exchange.size += len(piece)
        if exchange.stream is not None:
            if exchange.size > self._limits.streamed_body_size:
                raise self._refuse(413, "the request's body is too large")
            exchange.stream.push(piece)
        else:
            if exchange.size > self._limits.body_size:
                raise self._refuse(413, "the request's body is too large")
            exchange.collected += piece

    def on_message_complete(self) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None  # set when the head was complete
        self._phase = Phase.IDLE
        self._messages += 1
        self._fed = 0
        self._last = exchange
        exchange.complete = True
        if exchange.stream is not None:
            exchange.stream.end()
        else:
            exchange.request = Request(exchange.head, bytes(exchange.collected))
            exchange.collected.clear()
        self._whole(exchange)

    def _break_streams(self, error: Exception) -> None:
        if self._exchange is not None and self._exchange.stream is not None:
            self._exchange.stream.abort(error)
        self._exchange = None
