"""HTTP requests and responses as values: what the door hands in and what it writes out. Nothing is parsed here but the
path of a request's target."""

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
    """A request that makes no sense. A client is answered 400, with the sentence as its message."""


def is_segment(text: str) -> bool:
    """Whether a text can be one segment of a path: no dot segment, no control character."""
    return text not in (".", "..") and not any(ord(c) < 0x20 or ord(c) == 0x7F for c in text)


@dataclass(frozen=True)
class Head:
    """A request's head. `target` is path and query as they were sent (origin-form, RFC 9112 section 3.2.1); header
    names are in lower case."""

    method: str
    target: str
    headers: Headers = ()

    def header(self, name: str) -> str | None:
        """The first value of a header, None when it was not sent."""
        return next((value for key, value in self.headers if key == name), None)

    def values(self, name: str) -> list[str]:
        """All values of a header, in order."""
        return [value for key, value in self.headers if key == name]

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path's segments, each decoded by itself, so that a `%2F` stays inside its segment.

        Several slashes at the beginning count as one: the default base URL of the TypeScript SDK ends in `/`, so it
        asks for `//ide/list-assistants`. Raises Malformed for dot segments, control characters and bytes that are not
        UTF-8.
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
    """A request. `body` is the whole body; if admission asked for a stream, `stream` has the body instead."""

    head: Head
    body: bytes = b""
    stream: AsyncIterator[bytes] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Response:
    """A status, headers and a body. The door adds the headers of framing: Content-Length, Date, Connection.

    The body is bytes, or a stream of unknown length, which is sent chunked, piece by piece as it comes.
    """

    status: int
    headers: Headers = ()
    body: bytes | AsyncIterator[bytes] = b""
    encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)
    """The head in bytes, which the door notes here: a Response that is served again is not encoded again."""
    again: Callable[[], bool] | None = field(default=None, repr=False, compare=False)
    """The door calls it when the same request comes again on the same connection: True means that admission and answer
    would be the same again, and counts the request as answered. Without it every request is decided anew."""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def json_response(status: int, value: object, headers: Headers = ()) -> Response:
    return Response(status, (("Content-Type", type_json), *headers), orjson.dumps(value))


def error_response(status: int, message: str, headers: Headers = (), *, hint: str = "") -> Response:
    """The Hub's own error shape, `{"message": ...}`, with a hint beside it where there is one."""
    return json_response(status, {"message": message, **({"hint": hint} if hint else {})}, headers)
