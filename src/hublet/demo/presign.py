"""Pre-signed icon URLs: whoever has one may fetch the icon until the URL expires. No two URLs are the same."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from urllib.parse import parse_qs, quote

_LIFETIME = 3600
_KEY = b"only for pretend URLs"


class Presigner:
    """Makes signed URLs and checks them. `clock` gives the time in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._made = 0

    def url(self, origin: str, path: str) -> str:
        """The URL of `path` at `origin`, with a new signature each time."""
        self._made += 1
        now = int(self._clock())
        expires, date = now + _LIFETIME, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        asked = f"X-Amz-Date={date}&X-Amz-Request={self._made}&Expires={expires}"
        return f"{origin}{quote(path)}?X-Amz-Signature={_sign(quote(path), asked)}&{asked}"

    def fits(self, path: str, query: str) -> bool:
        """Whether a query was signed for a path and has not expired. Both are as the client sent them, still quoted."""
        signature, _, asked = query.removeprefix("X-Amz-Signature=").partition("&")
        expires = parse_qs(asked).get("Expires", ["0"])[0]
        fresh = expires.isascii() and expires.isdigit() and int(expires) > self._clock()
        return hmac.compare_digest(signature.encode(), _sign(path, asked).encode()) and fresh


def _sign(path: str, asked: str) -> str:
    return hmac.new(_KEY, f"{path}?{asked}".encode(), "sha256").hexdigest()
