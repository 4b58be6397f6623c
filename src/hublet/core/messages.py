"""Requests and responses as values: what the door hands in and what it writes out. No bytes are parsed here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import field
from functools import cached_property
from urllib.parse import unquote

import orjson

from hublet.core.values import dataclass

type_json = "application/json; charset=utf-8"
Headers = tuple[tuple[str, str], ...]


class Malformed(ValueError):
    """A request that no reading can make sense of: 400, with the sentence as its message."""


def is_segment(text: str) -> bool:
    """Whether a text can be one segment of a path: no dot segment, no control character."""
    return text not in (".", "..") and not any(ord(c) < 0x20 or ord(c) == 0x7F for c in text)


@dataclass(frozen=True)
class Head:
    """A request's head. `target` is the origin-form as sent (path and query); header names are lower-case."""

    method: str
    target: str
    headers: Headers = ()

    def header(self, name: str) -> str | None:
        """The first value of a header, None when it was not sent."""
        return next((value for key, value in self.headers if key == name), None)

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path's segments, each decoded by itself, so that `%2F` stays inside its segment.

        Leading slashes are folded into one (the TypeScript SDK's default base URL ends in `/`: WIRE 1.3).
        Raises Malformed for dot segments, control characters and bytes that are not UTF-8.
        """
        path = "/" + self.target.partition("?")[0].lstrip("/")
        parts: list[str] = []
        for raw in path[1:].split("/"):
            try:
                part = unquote(raw, errors="strict")
            except UnicodeDecodeError:
                raise Malformed("the path is not UTF-8") from None
            if not is_segment(part):
                raise Malformed("the path has a segment that is not allowed")
            parts.append(part)
        return tuple(parts)

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True)
class Request:
    """A whole request. `body` is the buffered body; `stream` is set instead when admission asked for a streamed one."""

    head: Head
    body: bytes = b""
    stream: AsyncIterator[bytes] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Response:
    """A status, headers (without framing: the door adds Content-Length, Date, Connection) and a body.

    A body is bytes, or a stream whose length is not known beforehand (sent chunked, piece by piece as it comes).
    """

    status: int
    headers: Headers = ()
    body: bytes | AsyncIterator[bytes] = b""
    encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)
    """The door's memo of this response's head in bytes: a Response served again is not encoded again."""
    again: Callable[[], bool] | None = field(default=None, repr=False, compare=False)
    """Asked by the door when the same bytes come again on the same connection: whether this still is what admission and
    answer would come to. True counts as an answered request. Without it every request is decided anew."""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def json_response(status: int, value: object, headers: Headers = ()) -> Response:
    return Response(status, (("Content-Type", type_json), *headers), orjson.dumps(value))


def error_response(status: int, message: str, headers: Headers = (), *, hint: str = "") -> Response:
    """The Hub's own error shape, `{"message": ...}`, with a hint beside it where there is one."""
    return json_response(status, {"message": message, **({"hint": hint} if hint else {})}, headers)
