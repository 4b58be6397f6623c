"""What can go wrong between a client and a Hub: faults as values, which `Hub.inject` switches on.

    instead of the Hub   Status, Html, ErrorPage, RedirectTo, RedirectWithin, Reset, Disconnect
    a bad body           Empty, NullBody, EmptyList, Twice, WrongShape, NotUtf8, LoneSurrogate, NaN, DuplicateKeys,
                         DeepNesting, HugeBody, GzipBomb
    on the wire          Hang, SlowDrip, Truncated, WrongLength (and Reset, Disconnect)

Faults that change an answer are pure functions of the good answer. Faults of the wire only mark the answer with
themselves; the server carries them out.
"""

from __future__ import annotations

import json
import zlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

from hublet.demo.reply import Fault, Reply, json_reply, message

_BLANKS = b" " * 65536
_HTML = (("Content-Type", "text/html; charset=utf-8"),)


class Instead(Fault):
    """A fault that answers in the Hub's place."""

    reaches_hub: ClassVar[bool] = False

    @abstractmethod
    def reply(self) -> Reply: ...

    def apply(self, good: Reply) -> Reply:
        return replace(self.reply(), target=good.target)


class Rewrite(Fault):
    """A fault that changes the JSON of a 200. Any other answer stays as it is."""

    @abstractmethod
    def rewrite(self, good: Reply) -> Reply: ...

    def apply(self, good: Reply) -> Reply:
        is_json = good.status == 200 and (good.header("content-type") or "").startswith("application/json")
        return self.rewrite(good) if is_json else good


@dataclass(frozen=True)
class Status(Instead):
    """A status with the Hub's `{"message": ...}`, or with no body when the message is None."""

    code: int
    message: str | None = "Internal server error"
    retry_after: int | str | None = None

    def reply(self) -> Reply:
        reply = Reply(self.code) if self.message is None else message(self.code, self.message)
        later = () if self.retry_after is None else (("Retry-After", str(self.retry_after)),)
        return replace(reply, headers=reply.headers + later)


@dataclass(frozen=True)
class Html(Instead):
    """A captive portal: 200 and a login page."""

    def reply(self) -> Reply:
        page = b"<!DOCTYPE html><html><head><title>Hotel WiFi</title></head><body>Please log in.</body></html>"
        return Reply(200, _HTML, page)


@dataclass(frozen=True)
class ErrorPage(Instead):
    """A proxy's error page."""

    code: int = 502

    def reply(self) -> Reply:
        page = f"<html><head><title>{self.code}</title></head><body><h1>{self.code}</h1><hr>nginx</body></html>"
        return Reply(self.code, _HTML, page.encode())


@dataclass(frozen=True)
class RedirectTo(Instead):
    """A redirect to any URL."""

    url: str
    code: int = 302

    def reply(self) -> Reply:
        return Reply(self.code, (("Location", self.url),))


@dataclass(frozen=True)
class RedirectWithin(Fault):
    """A redirect to the same target below `/moved`, where the Hub answers as usual."""

    code: int = 307
    reaches_hub: ClassVar[bool] = False

    def apply(self, good: Reply) -> Reply:
        return Reply(self.code, (("Location", f"/moved{good.target}"),))


@dataclass(frozen=True)
class Empty(Fault):
    """200 with a body of no bytes."""

    def apply(self, good: Reply) -> Reply:
        return replace(good.with_body(b""), status=200)


@dataclass(frozen=True)
class NullBody(Fault):
    """200 `null`."""

    def apply(self, good: Reply) -> Reply:
        return replace(json_reply(200, None), target=good.target)


@dataclass(frozen=True)
class EmptyList(Rewrite):
    """Every list at the top level of the answer is emptied. An answer without such a list becomes `[]`."""

    def rewrite(self, good: Reply) -> Reply:
        value = good.json()
        if isinstance(value, dict) and any(isinstance(each, list) for each in value.values()):
            return json_reply(200, {k: [] if isinstance(each, list) else each for k, each in value.items()})
        return json_reply(200, [])


@dataclass(frozen=True)
class Twice(Rewrite):
    """Every list at the top level of the answer repeats its first member at its end."""

    def rewrite(self, good: Reply) -> Reply:
        value = good.json()
        if isinstance(value, dict):
            value = {k: each + each[:1] if isinstance(each, list) else each for k, each in value.items()}
        elif isinstance(value, list):
            value += value[:1]
        return json_reply(200, value)


@dataclass(frozen=True)
class WrongShape(Rewrite):
    """The value at a path of keys and indices (the whole answer by default) has another JSON type."""

    path: tuple[str | int, ...] = ()

    def rewrite(self, good: Reply) -> Reply:
        return replace(json_reply(good.status, _at(good.json(), self.path)), headers=good.headers)


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    if path and isinstance(value, dict):
        return {k: _at(each, path[1:]) if k == path[0] else each for k, each in value.items()}
    if path and isinstance(value, list):
        return [_at(each, path[1:]) if n == path[0] else each for n, each in enumerate(value)]
    match value:
        case dict():
            return [value]
        case list():
            return {"items": value}
        case bool() | int() | float():
            return str(value)
        case str():
            return 17
    return [None]


@dataclass(frozen=True)
class NotUtf8(Rewrite):
    """An extra string that is not UTF-8 in the first object."""

    def rewrite(self, good: Reply) -> Reply:
        return good.with_body(_with_extra(good.read(), b'"caf\xe9 \xff"'))


@dataclass(frozen=True)
class LoneSurrogate(Rewrite):
    """An extra string with a lone surrogate: JSON's grammar allows the escape (RFC 8259 section 8.2), UTF-8 can't
    encode it."""

    def rewrite(self, good: Reply) -> Reply:
        return good.with_body(_with_extra(good.read(), b'"\\ud83d"'))


@dataclass(frozen=True)
class NaN(Rewrite):
    """An extra value NaN or Infinity, neither of which is JSON."""

    word: bytes = b"NaN"

    def rewrite(self, good: Reply) -> Reply:
        return good.with_body(_with_extra(good.read(), self.word))


@dataclass(frozen=True)
class DeepNesting(Rewrite):
    """An extra value of `depth` nested arrays."""

    depth: int = 100_000

    def rewrite(self, good: Reply) -> Reply:
        return good.with_body(_with_extra(good.read(), b"[" * self.depth + b"]" * self.depth))


def _with_extra(body: bytes, raw: bytes) -> bytes:
    """The body with `"extra": raw` as the first member of its first object; `[raw]` when there is no object."""
    start = body.find(b"{") + 1
    if not start:
        return b"[" + raw + b"]"
    comma = b"" if body[start : start + 1] == b"}" else b","
    return body[:start] + b'"extra":' + raw + comma + body[start:]


@dataclass(frozen=True)
class DuplicateKeys(Rewrite):
    """Every object repeats its first key at its end, with the value null."""

    def rewrite(self, good: Reply) -> Reply:
        return good.with_body(_doubled(good.json()).encode())


def _doubled(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_doubled, value))}]"
    if isinstance(value, dict) and value:
        members = [f"{json.dumps(key)}:{_doubled(each)}" for key, each in value.items()]
        return f"{{{','.join([*members, f'{json.dumps(next(iter(value)))}:null'])}}}"
    return json.dumps(value)


@dataclass(frozen=True)
class HugeBody(Fault):
    """The good JSON, preceded by as many blanks as make the body `size` bytes long. With `declared` Content-Length says
    so; else the body comes in chunks."""

    size: int = 64 * 1024 * 1024
    declared: bool = True

    def apply(self, good: Reply) -> Reply:
        body = good.read()
        said = (("Content-Length", str(max(self.size, len(body)))),) if self.declared else ()
        return good.with_body(_Padded(body, max(0, self.size - len(body))), *said)


@dataclass(frozen=True)
class _Padded:
    body: bytes
    blanks: int

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.blanks // len(_BLANKS)):
            yield _BLANKS
        yield _BLANKS[: self.blanks % len(_BLANKS)] + self.body


@dataclass(frozen=True)
class GzipBomb(Fault):
    """The good JSON after `size` blanks, gzipped to less than 1/200 of that. With more `layers` the result is gzipped
    again: with two of them a few kilobytes are left."""

    size: int = 256 * 1024 * 1024
    layers: int = 1

    def apply(self, good: Reply) -> Reply:
        packing = ", ".join(["gzip"] * self.layers)
        return good.with_body(_bomb(good.read(), self.size, self.layers), ("Content-Encoding", packing))


@lru_cache(maxsize=4)
def _bomb(body: bytes, size: int, layers: int) -> bytes:
    squeeze = zlib.compressobj(1, wbits=31)
    packed = b"".join(map(squeeze.compress, _Padded(body, size))) + squeeze.flush()
    for _ in range(layers - 1):
        packed = zlib.compress(packed, 9, wbits=31)
    return packed


class WireFault(Fault):
    """A fault that the server carries out."""

    def apply(self, good: Reply) -> Reply:
        return replace(good, fault=self)


@dataclass(frozen=True)
class Hang(WireFault):
    """No byte comes until the client goes or the server stops; with `after_head` the head comes, but no body."""

    after_head: bool = False


@dataclass(frozen=True)
class SlowDrip(WireFault):
    """The body comes byte by byte; with `head` the head does too."""

    bytes_per_second: float = 10.0
    head: bool = False


@dataclass(frozen=True)
class Truncated(WireFault):
    """Content-Length is right, but the connection is closed after the fraction `sent` of the body."""

    sent: float = 0.5


@dataclass(frozen=True)
class WrongLength(WireFault):
    """The whole body comes, but Content-Length is off by `by`."""

    by: int = -7


@dataclass(frozen=True)
class Reset(WireFault):
    """The connection is reset (RST) instead of an answer."""

    reaches_hub: ClassVar[bool] = False


@dataclass(frozen=True)
class Disconnect(WireFault):
    """The connection is closed instead of an answer."""

    reaches_hub: ClassVar[bool] = False
