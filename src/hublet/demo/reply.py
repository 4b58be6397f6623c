"""Requests to the pretend Hub and its answers, as values without any socket."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar

Headers = tuple[tuple[str, str], ...]


class Fault(ABC):
    """Something that goes wrong with an answer.

    `apply` takes the good answer and returns the bad one. Faults of the wire (hanging, cutting off) only mark the
    answer with themselves; the server carries them out. `reaches_hub` is False when the request does not get as far as
    the Hub, so that it changes nothing there.
    """

    reaches_hub: ClassVar[bool] = True

    @abstractmethod
    def apply(self, good: Reply) -> Reply: ...


@dataclass(frozen=True)
class Reply:
    """A status, headers without those of framing, and a body: bytes, or pieces that are sent `pace` seconds apart.

    Pieces are sent in chunks, unless the headers have a Content-Length. `fault` is a fault of the wire for the server
    to carry out. `target` is the target of the request.
    """

    status: int
    headers: Headers = ()
    body: bytes | Iterable[bytes] = b""
    fault: Fault | None = None
    pace: float = 0.0
    target: str = ""

    def read(self) -> bytes:
        """The whole body."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)

    def json(self) -> object:
        return json.loads(self.read())

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def with_body(self, body: bytes | Iterable[bytes], *headers: tuple[str, str]) -> Reply:
        """The same with another body and more headers, and without its ETag, which would no longer fit."""
        kept = tuple((k, v) for k, v in self.headers if k.lower() != "etag")
        return replace(self, body=body, headers=(*kept, *headers))


@dataclass(frozen=True)
class Seen:
    """A request as the Hub saw it; several leading slashes are made one. Of the Authorization only its kind is kept:
    `none`, `key` or `session` (accepted), `unknown-key` (con_..., not accepted), `undefined` (`Bearer undefined`), or
    `other`."""

    method: str
    target: str
    authorization_kind: str
    at: float
    headers: Headers = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


def json_reply(status: int, value: object) -> Reply:
    """A JSON answer as Express writes it: without blanks, and with non-ASCII characters unescaped."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode()
    return Reply(status, (("Content-Type", "application/json; charset=utf-8"),), body)


def message(status: int, text: str) -> Reply:
    """An error as the Hub sends it: `{"message": ...}`."""
    return json_reply(status, {"message": text})
