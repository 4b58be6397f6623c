"""What the pretend Hub was asked and what it answers, as values; no socket is known here."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar

Headers = tuple[tuple[str, str], ...]


class Fault(ABC):
    """Something that goes wrong with an answer.

    `apply` takes the good answer and gives the bad one. Faults of the wire (hanging, cutting
    off) only mark the answer with themselves; the server carries them out.
    `reaches_hub` is False where the request never gets as far as the Hub, so that it changes nothing there.
    """

    reaches_hub: ClassVar[bool] = True

    @abstractmethod
    def apply(self, good: Reply) -> Reply: ...


@dataclass(frozen=True)
class Reply:
    """A status, headers without framing, and a body: bytes, or pieces sent as they come, `pace` seconds apart.

    Pieces are sent chunked, unless the headers have a Content-Length. `fault` is what the server does to the wire,
    `target` what was asked.
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
        """The same with another body, more headers, and no validators, which would no longer fit."""
        kept = tuple((k, v) for k, v in self.headers if k.lower() != "etag")
        return replace(self, body=body, headers=(*kept, *headers))


@dataclass(frozen=True)
class Seen:
    """One request as the Hub saw it (leading slashes made one). Of the Authorization only its kind is kept:
    `none`, `key` or `session` (accepted), `unknown-key` (con_..., not accepted), `undefined` (`Bearer undefined`),
    `other`."""

    method: str
    target: str
    authorization_kind: str
    at: float
    headers: Headers = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


def json_reply(status: int, value: object) -> Reply:
    """A JSON answer as Express writes it: no blanks, UTF-8 unescaped."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode()
    return Reply(status, (("Content-Type", "application/json; charset=utf-8"),), body)


def message(status: int, text: str) -> Reply:
    """The Hub's error shape."""
    return json_reply(status, {"message": text})
