"""A Response as bytes (RFC 9112): its head with the headers that every answer has, its date, its chunks."""

from __future__ import annotations

import time

from hublet.core.messages import Headers, Response

always = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'"),
)
unless_set = (("Cross-Origin-Resource-Policy", "same-origin"), ("Cache-Control", "no-store"))

# Headers that a Response can't set. The framing is the door's alone: with a second Content-Length a client could take
# part of one answer for another (RFC 9112 section 11.1). The others would open the loopback API to web pages or name
# the server, whatever an upstream said.
_never = frozenset(
    (
        *("content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "trailer"),
        *("upgrade", "date", "server", "set-cookie", "x-content-type-options", "content-security-policy"),
    )
)
_reasons = {200: "OK", 304: "Not Modified"}
"""Reason phrases by status. All others are filled in when the first of them is needed."""
_days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

continue_100 = b"HTTP/1.1 100 Continue\r\n\r\n"
closing = b"Connection: close\r\n\r\n"
keeping = b"Connection: keep-alive\r\n\r\n"
chunked = b"Transfer-Encoding: chunked\r\n"
last_chunk = b"0\r\n\r\n"


def has_content(status: int) -> bool:
    """Whether an answer with this status has a body at all (RFC 9110 section 6.4.1)."""
    return status >= 200 and status not in (204, 304)


def head_of(response: Response) -> bytes:
    """The status line and the headers, each with its line end, without Date, Connection and the empty line.

    Content-Length is included when the body is bytes. The result is kept in `response.encoded`. Raises ValueError for
    a status that is not final, and for a header whose characters could end its line.
    """
    known = response.encoded
    if known is not None:
        return known
    encoded = _encoded(response, always)
    object.__setattr__(response, "encoded", encoded)  # a memo, not a change: it follows from the frozen fields alone
    return encoded


def _reason(status: int) -> str:
    if status not in _reasons:
        from http import HTTPStatus

        _reasons.update({each.value: each.phrase for each in HTTPStatus})
    return _reasons.get(status, "")


def of_a_page(response: Response, policy: str, *, cookie: str = "") -> Response:
    """The response as an answer of our own page: with the Content-Security-Policy `policy`, and with a cookie if one is
    given. No other answer can have either. Raises ValueError like `head_of`."""
    mine = (("X-Content-Type-Options", "nosniff"), ("Content-Security-Policy", policy))
    encoded = _encoded(response, (*mine, *((("Set-Cookie", cookie),) if cookie else ())))
    object.__setattr__(response, "encoded", encoded)
    return response


def _encoded(response: Response, ours: Headers) -> bytes:
    if not 200 <= response.status <= 599:
        raise ValueError("a final response has a status from 200 to 599")
    said = {name.lower() for name, _ in response.headers}
    lines = [f"HTTP/1.1 {response.status} {_reason(response.status)}"]
    for name, value in response.headers:
        low = name.lower()
        if low in _never or low.startswith("access-control-"):
            continue
        if not _is_token(name) or not value.isprintable() or not value.isascii():
            raise ValueError(f"the response header {low!r} has a character that is not allowed")
        lines.append(f"{name}: {value}")
    lines += [f"{name}: {value}" for name, value in ours]
    lines += [f"{name}: {value}" for name, value in unless_set if name.lower() not in said]
    if isinstance(response.body, bytes) and has_content(response.status):
        lines.append(f"Content-Length: {len(response.body)}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n"


def _is_token(name: str) -> bool:
    """Whether a header's name is a token of RFC 9110 section 5.6.2. Of its punctuation only - and _ are allowed."""
    return name.isascii() and name.replace("-", "").replace("_", "").isalnum()


def chunk(piece: bytes) -> bytes:
    """One chunk (RFC 9112 section 7.1). `piece` must not be empty: an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


_second = -1
_date = b""
_date_end = b""


def date_line(*, end: bool = False) -> bytes:
    """The `Date` header's line (RFC 9110 section 6.6.1), formatted once a second at most; with `end`, the empty line
    that ends the head follows."""
    global _second, _date, _date_end  # noqa: PLW0603  a memo of the clock for the whole process
    now = int(time.time())
    if now != _second:
        t = time.gmtime(now)
        text = (
            f"Date: {_days[t.tm_wday]}, {t.tm_mday:02} {_months[t.tm_mon - 1]} {t.tm_year} "
            f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT\r\n"
        )
        _date = text.encode()
        _date_end = _date + b"\r\n"
        _second = now
    return _date_end if end else _date
