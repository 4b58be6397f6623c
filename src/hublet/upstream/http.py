"""Asking a Hub over HTTP: one Operation out, one Outcome back. Whatever the network or the Hub does is an Outcome, and
never raised.

The key goes to the configured origin only: redirects are followed within that origin, and nowhere else. Every request
has a time limit for connecting, for each read and for the whole, and a limit for the size of the unpacked answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Protocol, Self

import httpx

from hublet import __version__
from hublet.core import operations as ops
from hublet.core.outcomes import Malformed, NotModified, Outcome, Refused, Throttled, Unreachable
from hublet.core.records import Content
from hublet.core.validators import Validator, Validators, can_be_conditional
from hublet.core.values import dataclass
from hublet.upstream.icons import fetch_icon
from hublet.upstream.order import Hub
from hublet.upstream.strict import NotStrict, loads
from hublet.upstream.unpacking import ACCEPTED, TooLarge, Unreadable, read_body
from hublet.upstream.validating import digest_of, validator_of

_MOST_REDIRECTS = 3
_GONE = 410
"""A status that the Hub's document does not declare: services answer it at their end."""


@dataclass(frozen=True, slots=True)
class Said:
    """A 200 and its JSON value, or the bytes of a download, not taken apart yet. By the `validator` the same answer is
    known again next time."""

    value: object
    validator: Validator | None = None


class Upstream(Protocol):
    """What can be asked like a Hub."""

    async def ask(self, operation: ops.Operation) -> Outcome | Said:
        """A Said for a 200 that may be an answer, else the Outcome."""

    async def fetch_icon(self, address: str) -> Content | None:
        """The image at a pre-signed address; None when there is none, or none that may be kept."""


class HubClient:
    """A Hub at a URL. An Operation with one of `validators` is asked conditionally if the Hub gave an ETag or a date,
    and its answer is compared with the digest. `transport` replaces the network in tests."""

    def __init__(
        self, hub: Hub, validators: Validators | None = None, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._hub, self._validators, self._asker = hub, validators or {}, hub.asker
        self._origin = httpx.URL(hub.url)
        timeout = httpx.Timeout(hub.timeout, connect=hub.connect_timeout)
        headers = {
            "User-Agent": f"hublet/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": ACCEPTED,
        }
        limits = httpx.Limits(max_connections=hub.parallel)
        self._client = httpx.AsyncClient(
            verify=trust(hub.ca_file), timeout=timeout, headers=headers, limits=limits, transport=transport
        )
        # HTTP/1.1 keeps connections open without this header (RFC 9112 section 9.3): it only makes each request longer.
        del self._client.headers["Connection"]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ask(self, operation: ops.Operation) -> Outcome | Said:
        call = ops.write(operation)
        headers = {"Content-Type": "application/json"} if call.body is not None else {}
        if self._hub.key is not None:
            headers["Authorization"] = f"Bearer {self._hub.key.reveal()}"
        sent = self._validators.get(operation)
        if sent is not None and (condition := sent.header()) is not None:
            name, value = condition
            headers[name] = value
        url = self._url(call.target)
        try:
            async with asyncio.timeout(self._hub.timeout):
                for _ in range(_MOST_REDIRECTS + 1):
                    async with self._client.stream(call.method, url, headers=headers, content=call.body) as response:
                        if not response.has_redirect_location:
                            body = await read_body(response, self._hub.size_limit)
                            return self._judge(operation, response, body, sent)
                        url = response.url.join(response.headers["location"])
                    if (url.scheme, url.host, url.port) != (self._origin.scheme, self._origin.host, self._origin.port):
                        return Malformed("a redirect to another origin")
                return Malformed("more redirects than a Hub needs")
        except TooLarge:
            return Malformed("the answer is larger than hub.size_limit")
        except Unreadable:
            return Malformed("the answer's compression is broken, or not the one that was asked for")
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
            return _failure(error)

    async def fetch_icon(self, address: str) -> Content | None:
        try:
            async with asyncio.timeout(self._hub.timeout):
                return await fetch_icon(self._client, self._origin, address)
        except TimeoutError:
            return None

    def _url(self, target: str) -> httpx.URL:
        return httpx.URL(self._hub.url.rstrip("/") + target)

    def _judge(
        self, operation: ops.Operation, response: httpx.Response, body: bytes, sent: Validator | None
    ) -> Outcome | Said:
        status = response.status_code
        if status == 304:
            if sent is None or sent.header() is None or not sent.fits(response.headers.get("etag")):
                return Malformed("the Hub says that something is unchanged which was not asked for so")
            return NotModified(sent)
        if status == 429 or (status == 503 and "retry-after" in response.headers):
            return Throttled(_retry_after(response.headers))
        if status >= 500:
            return Unreachable(f"the Hub answered {status}")
        if status == 200 and isinstance(operation, ops.DownloadPackage):
            return Said(body, validator_of(response.headers, self._asker))
        try:
            value = loads(body)
        except NotStrict as error:
            return Malformed(f"the answer ({status}) can't be read: {error}")
        if status == 200:
            return self._said(operation, value, response.headers, sent)
        message = value.get("message") if isinstance(value, dict) else None
        if (status in ops.row_of(operation).says or status == _GONE) and isinstance(message, str):
            return Refused(status, message[:500])
        return Malformed(f"status {status} is none that the Hub gives here")

    def _said(
        self, operation: ops.Operation, value: object, headers: Mapping[str, str], sent: Validator | None
    ) -> Outcome | Said:
        if not can_be_conditional(operation):
            return Said(value)
        # If it is what the Hub said last time, word for word, it need not be taken apart, compared and judged again.
        digest = digest_of(value)
        if sent is not None and sent.digest == digest:
            return NotModified(sent)
        return Said(value, replace(validator_of(headers, self._asker) or Validator(self._asker), digest=digest))


def trust(ca_file: str | None) -> ssl.SSLContext:
    """The certificates that are trusted: those of `hub.ca_file` alone if it is given, else those of SSL_CERT_FILE and
    SSL_CERT_DIR, else the usual roots."""
    if ca_file is not None:
        return ssl.create_default_context(cafile=ca_file)
    return httpx.create_ssl_context()


def _failure(error: Exception) -> Outcome:
    """The Outcome for an exception of httpx or of the system. The exception's own text is not used: it can quote a
    header."""
    match error:
        case httpx.ConnectTimeout():
            return Unreachable("connecting timed out")
        case httpx.TimeoutException() | TimeoutError():
            return Unreachable("the answer timed out")
        case httpx.ProxyError():
            return Unreachable("the proxy refused")
        case httpx.ConnectError():
            return Unreachable(f"could not connect{_because(error)}")
        case httpx.RemoteProtocolError():
            return Malformed("the answer was cut off or is not HTTP")
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | UnicodeError():  # the last: a host that is no IDNA name
            return Malformed("a redirect to an address that can't be used")
        case httpx.NetworkError():
            return Unreachable("the connection broke")
    return Unreachable(f"could not ask ({type(error).__name__})")


def _because(error: BaseException) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f": certificate not trusted ({seen.verify_message})"
        if isinstance(seen, ssl.SSLError):
            return ": TLS failed"
        if isinstance(seen, OSError) and seen.strerror:
            return f": {seen.strerror}"
        seen = seen.__cause__ or seen.__context__
    return ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a Retry-After (RFC 9110 section 10.2.3). A date is compared with the Hub's own Date, since its
    clock may be years off ours. None if there is none, or it can't be read."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None
