"""What hublet says of itself over the API: its status, its metrics, its events as they happen, and its API document.

    GET /hublet/v1/status    serve/status.py's value as JSON
    GET /hublet/v1/events    server-sent events (the HTML standard, section 9.2); `Last-Event-ID` goes on from there
    GET /metrics             Prometheus' text format (serve/metrics.py)
    GET /hublet/v1/openapi.json    what is served, as a document (describe/document.py)

Each needs an identity, of which a local token of scope `read` is enough: the status leaves out for it what such a
token is shown nowhere else, and no event names a secret.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import orjson

from hublet.core.messages import Head, Malformed, Response, error_response, json_response, type_json
from hublet.serve.events import Event, Events, Listening, TooManyListeners
from hublet.serve.service import Service
from hublet.serve.status import for_reader, status

_OWN = ("status", "events", "openapi.json")
PATHS = frozenset({("metrics",), *(("hublet", "v1", name) for name in _OWN)})

_RETRY = 2000
"""Milliseconds after which a reader whose stream has ended is to connect again (the `retry` field)."""
_LONGEST_ID = 20


def tell(service: Service, head: Head, *, clear: bool) -> Response:
    """The answer to a GET of one of `PATHS`; `clear` when the asker may see secrets. Raises Malformed."""
    if head.segments == ("metrics",):
        from hublet.serve.metrics import CONTENT_TYPE, exposition  # few daemons are scraped

        return Response(200, (("Content-Type", CONTENT_TYPE),), exposition(service))
    if head.segments[-1] == "status":
        return json_response(200, status(service) if clear else for_reader(status(service)))
    if head.segments[-1] == "openapi.json":
        from hublet.describe.document import served  # most daemons are never asked for it

        return Response(200, (("Content-Type", type_json),), served())
    sent = head.header("last-event-id")
    try:
        stream = Stream(service.events, "api", id_of(sent) if sent else None, _server_sent, begin=_begin)
    except TooManyListeners:
        return _too_many()
    return Response(200, (("Content-Type", "text/event-stream; charset=utf-8"),), stream)


def id_of(text: str) -> int:
    """The id of the event after which a reader wants to go on, as it sent it. Raises Malformed."""
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID):
        raise Malformed("that is not the id of an event")
    return int(text)


def lines(service: Service, after: int | None) -> Response:
    """The events for the admin door, a JSON object a line: first `{"last": ID}`, the id of the last event so far, then
    each event after `after` or from now on. `{}` is a sign of life."""
    try:
        stream = Stream(service.events, "admin", after, _json_lines, begin=lambda id_: b'{"last":%d}\n' % id_)
    except TooManyListeners:
        return _too_many()
    return Response(200, (("Content-Type", "application/x-ndjson"),), stream)


class Stream(AsyncIterator[bytes]):
    """The events as a streamed body; `write` turns events into bytes, `begin` an id into the first piece.

    This is a class because closing a generator that was never begun runs no code: it would keep its place among the
    listeners."""

    def __init__(
        self,
        events: Events,
        door: str,
        after: int | None,
        write: Callable[[tuple[Event, ...]], bytes],
        *,
        begin: Callable[[int], bytes],
    ) -> None:
        self._listening: Listening = events.subscribe(door, after)
        self._write = write
        self._first: bytes | None = begin(self._listening.place)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        found = await self._listening.next()
        if found is None:
            raise StopAsyncIteration
        return self._write(found)

    async def aclose(self) -> None:
        self._listening.close()


def _begin(last: int) -> bytes:
    """An id without data, so that the reader knows where to go on from before anything has happened."""
    return b"retry: %d\nid: %d\n\n" % (_RETRY, last)


def _server_sent(events: tuple[Event, ...]) -> bytes:
    if not events:
        return b":\n\n"
    return b"".join(b"id: %d\nevent: %b\ndata: %b\n\n" % (e.id, e.kind.encode(), e.to_json()) for e in events)


def _json_lines(events: tuple[Event, ...]) -> bytes:
    return b"".join(event.to_json() + b"\n" for event in events) or orjson.dumps({}) + b"\n"


def _too_many() -> Response:
    return error_response(503, "too many listen to the events already", (("Retry-After", "30"),))
