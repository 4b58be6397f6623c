"""Pre-signed icon URLs: whoever has one may fetch that icon until it expires. No two are the same."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from urllib.parse import parse_qs, quote

_LIFETIME = 3600
_KEY = b"only for pretend URLs"


class Presigner:
    """Signs and checks; `clock` says when a URL expires."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._made = 0

    def url(self, origin: str, path: str) -> str:
        """`path` at `origin` with a signature that was never given before."""
        self._made += 1
        now = int(self._clock())
        expires, date = now + _LIFETIME, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        asked = f"X-Amz-Date={date}&X-Amz-Request={self._made}&Expires={expires}"
        return f"{origin}{quote(path)}?X-Amz-Signature={_sign(quote(path), asked)}&{asked}"

    def fits(self, path: str, query: str) -> bool:
        """Whether the query (as sent) was signed for the path (as sent) and has not expired."""
        signature, _, asked = query.removeprefix("X-Amz-Signature=").partition("&")
        expires = parse_qs(asked).get("Expires", ["0"])[0]
        fresh = expires.isascii() and expires.isdigit() and int(expires) > self._clock()
        return hmac.compare_digest(signature.encode(), _sign(path, asked).encode()) and fresh


def _sign(path: str, asked: str) -> str:
    return hmac.new(_KEY, f"{path}?{asked}".encode(), "sha256").hexdigest()
