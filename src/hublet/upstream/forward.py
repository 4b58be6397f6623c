"""Pass-through: a client's request is sent on to the Hub, and its answer handed back, as streams in both directions. It
is cancelled when the client goes, and never waits for long.

The URL is the configured origin with a target that is built anew (core/passthrough.py). That it still is at that origin
is asserted before anything is sent. Redirects are not followed. httpx is imported with the first request that is passed
through, so that a daemon which passes nothing through stays without it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from hublet.core.messages import Malformed, Request, Response, error_response, json_response, type_json
from hublet.core.passthrough import (
    Care,
    Rule,
    is_refresh_answer,
    own_credential,
    request_headers,
    response_headers,
    target_for,
)
from hublet.upstream.order import Hub
from hublet.upstream.unpacking import TooLarge, Unreadable, read_body

if TYPE_CHECKING:
    from http.cookiejar import CookiePolicy

    import httpx

log = logging.getLogger("hublet.forward")

_PATIENCE = 180.0
"""The most seconds until the first byte of a model's answer, and between two of its pieces."""
_OFFLINE_MEMORY = 5.0
_REFRESH_SIZE = 64 * 1024
_NEUTRAL = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "hublet"}
"""What is sent where the client sent none."""
# It has none of the words that make VS Code end the session (401, Unauthorized): a refresh that fails has to look like
# a network that fails.
REFRESH_FAILED = error_response(503, "the Hub does not answer; sign-in is kept")


class Forwarder:
    """Passes requests through to the Hub that `hub` returns: the one that is configured now, with the account's key
    only if the config lends it to clients.

    `transport` replaces the network in tests. `answered` is called for each answer below 500. `passed` counts the
    requests that were passed through.
    """

    def __init__(
        self,
        hub: Callable[[], Hub],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        self._hub, self._transport, self._clock, self._answered = hub, transport, clock, answered
        self._client: _Client | None = None
        """The one that requests go through now."""
        self._clients: set[_Client] = set()
        """All that are open: that one, and those whose answers still come."""
        self._unreachable_at = float("-inf")
        self._ending: set[asyncio.Task[None]] = set()
        """Held until they are done: the event loop itself doesn't."""
        self.passed = 0

    def forget(self) -> None:
        """Let go of a key that was lent: the next request gets a new HTTP client. Answers that are streaming go on, and
        the old client is closed when the last of them has ended. Called on the event loop."""
        retired, self._client = self._client, None
        if retired is not None:
            self._close_unused(retired)

    async def close(self) -> None:
        """Wait for answers that are ending, then close every client, which breaks off answers that still stream."""
        while self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)
        self._client = None
        while self._clients:
            await _close(self._clients.pop())

    async def forward(self, request: Request, rule: Rule) -> Response:
        """The Hub's answer, with its body as a stream; a 503 with a message when the Hub does not answer."""
        response = await self._forward(request, rule)
        if rule.care is Care.REFRESH and response.status >= 500:
            return REFRESH_FAILED
        return response

    async def _forward(self, request: Request, rule: Rule) -> Response:
        hub = self._hub()
        if hub.folder is not None:
            return error_response(503, "the Hub is a folder: nothing is passed through")
        credential = own_credential(request.head.header("authorization"))
        if rule.care is Care.OWN and credential is None:
            message = "this is passed through to the Hub and needs your own Hub credentials"
            return error_response(401, message, (("WWW-Authenticate", 'Bearer realm="hub"'),))
        if credential is None and rule.care is Care.ANY and hub.key is not None:
            credential = hub.key.reveal()
        if self._clock() - self._unreachable_at < _OFFLINE_MEMORY:
            return _offline(rule)
        try:
            target = target_for(request.head)
        except Malformed as error:
            return error_response(400, str(error))
        self.passed += 1
        return await self._send(request, rule, hub, target, credential)

    async def _send(self, request: Request, rule: Rule, hub: Hub, target: str, credential: str | None) -> Response:

        gap = _PATIENCE if rule.patient else hub.timeout
        client = self._client_for(hub)
        sent = _request(client.http, request, hub, target, credential, gap=gap)
        client.answers += 1
        response: Response | None = None
        try:
            response = await self._answer(client, sent, rule, hub, credential, gap + hub.connect_timeout)
        finally:
            if response is None or isinstance(response.body, bytes):
                self._release(client)
        return response

    async def _answer(
        self, client: _Client, sent: httpx.Request, rule: Rule, hub: Hub, credential: str | None, patience: float
    ) -> Response:
        """The Hub's answer. If its body is a stream, the end of the stream releases the client, and nothing else
        does."""
        import httpx

        try:
            async with asyncio.timeout(patience):
                answer = await client.http.send(sent, stream=True, follow_redirects=False)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            self._unreachable_at = self._clock()
            return _offline(rule)
        except (TimeoutError, httpx.HTTPError, OSError, ConnectionError) as error:
            log.warning("a passed-through request failed (%s)", type(error).__name__)
            return _offline(rule)
        if answer.status_code < 500:
            self._answered()
        if rule.care is not Care.ANY:
            return await _whole(answer, rule, hub)
        raw = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in answer.headers.raw)
        body = _Pieces(answer, hub.size_limit, lambda ending: self._end(client, ending))
        return Response(answer.status_code, response_headers(raw, credential), body)

    def _client_for(self, hub: Hub) -> _Client:
        """The client for a Hub as it is configured now. Nothing is awaited here: two requests would make two."""
        import httpx

        from hublet.upstream.http import trust

        if self._client is None or self._client.hub != hub:
            self.forget()
            http = httpx.AsyncClient(verify=trust(hub.ca_file), transport=self._transport)
            http.cookies.jar.set_policy(_no_cookies())
            self._client = _Client(hub, http)
            self._clients.add(self._client)
        return self._client

    def _release(self, client: _Client) -> None:
        """An answer of a client has ended, or never came."""
        client.answers -= 1
        self._close_unused(client)

    def _close_unused(self, client: _Client) -> None:
        if client is not self._client and not client.answers and client in self._clients:
            self._clients.discard(client)
            self._hold(asyncio.create_task(_close(client), name="close a client"))

    def _end(self, client: _Client, ending: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run the end of an answer in the background, then release its client."""
        task = asyncio.create_task(ending, name="end of an answer")
        task.add_done_callback(lambda _: self._release(client))
        self._hold(task)
        return task

    def _hold(self, task: asyncio.Task[None]) -> None:
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


class _Client:
    """An httpx client, the Hub that it was made for, and how many of its answers have not ended yet."""

    __slots__ = ("answers", "http", "hub")

    def __init__(self, hub: Hub, http: httpx.AsyncClient) -> None:
        self.hub, self.http, self.answers = hub, http, 0


async def _close(client: _Client) -> None:
    import httpx

    try:
        await client.http.aclose()
    except (httpx.HTTPError, OSError) as error:
        log.debug("a client of the Hub did not close well (%s)", type(error).__name__)


class _Pieces:
    """The body of an answer as it comes, still compressed if the Hub compressed it. One that is over the limit (in
    bytes) raises ConnectionAbortedError, and one that the Hub breaks off raises what httpx raises. So it breaks off for
    the client too: nobody may take a part for the whole.

    Transitions: open → ended, when all has come, when it broke off, or by `aclose`, also for one that nobody has read.
    `end` is called once, with what remains to be done then, and runs it as a task.
    """

    def __init__(
        self, answer: httpx.Response, limit: int, end: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        self._answer, self._limit, self._end = answer, limit, end
        self._pieces = answer.aiter_raw()
        self._size = 0
        self._step: asyncio.Task[bytes] | None = None
        self._ending: asyncio.Task[None] | None = None

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        if self._ending is not None:
            raise StopAsyncIteration
        try:
            self._step = asyncio.create_task(anext(self._pieces, b""))
            piece = await asyncio.shield(self._step)
            self._size += len(piece)
            if self._size > self._limit:
                raise ConnectionAbortedError("the answer is larger than hub.size_limit")
        except BaseException:
            await self.aclose()
            raise
        if not piece:
            await self.aclose()
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        if self._ending is None:
            self._ending = self._end(_have_done(self._answer, self._step))
        await asyncio.shield(self._ending)


def _request(
    client: httpx.AsyncClient, request: Request, hub: Hub, target: str, credential: str | None, *, gap: float
) -> httpx.Request:
    """The request to the Hub: the client's headers that may go along, the credential, and the body as it comes. `gap`
    is the most seconds that may pass between two pieces of the answer."""
    import httpx

    base = httpx.URL(hub.url)
    url = httpx.URL(hub.url.rstrip("/") + target)
    if (url.scheme, url.host, url.port, url.userinfo) != (base.scheme, base.host, base.port, b""):
        raise AssertionError("a passed-through target left the Hub's origin")
    headers = request_headers(request.head)
    if credential is not None:
        headers["authorization"] = f"Bearer {credential}"
    content: bytes | AsyncIterator[bytes] | None = request.body or None
    if request.stream is not None:
        content = request.stream
        length = request.head.header("content-length")
        if length is not None:
            headers["content-length"] = length
    timeout = httpx.Timeout(gap, connect=hub.connect_timeout)
    sent = client.build_request(request.head.method, url, headers=headers, content=content, timeout=timeout)
    # httpx fills in defaults of its own, which would speak for the client: these say as little as possible.
    for name, neutral in _NEUTRAL.items():
        if name not in headers:
            sent.headers[name] = neutral
    return sent


async def _have_done(answer: httpx.Response, step: asyncio.Task[bytes] | None) -> None:
    """End an answer and its connection. This runs as a task of its own, since a client that goes cancels what runs for
    it: a closing that was cancelled would leave the connection to the Hub half closed for ever."""
    import httpx

    if step is not None and not step.done():
        if not answer.is_closed:
            step.cancel()
        await asyncio.wait({step})
    if step is not None and not step.cancelled():
        step.exception()  # it was raised where the piece was waited for; taken here so that asyncio does not log it
    try:
        await answer.aclose()
    except (httpx.HTTPError, OSError) as error:
        log.debug("a connection to the Hub did not end well (%s)", type(error).__name__)


def _no_cookies() -> CookiePolicy:
    from http.cookiejar import DefaultCookiePolicy

    return DefaultCookiePolicy(allowed_domains=[])


async def _whole(answer: httpx.Response, rule: Rule, hub: Hub) -> Response:
    """The answer for a path with OWN or REFRESH: read as a whole, and handed on only if it is the Hub's own short
    JSON."""
    import httpx

    try:
        async with asyncio.timeout(hub.timeout):
            body = await read_body(answer, _REFRESH_SIZE)
    except (TimeoutError, httpx.HTTPError, OSError, TooLarge, Unreadable):
        return _offline()
    finally:
        await answer.aclose()
    if rule.care is Care.REFRESH:
        if not is_refresh_answer(answer.status_code, body):
            return _offline()
    elif answer.status_code not in (200, 400, 401, 403, 404, 500) or not body.lstrip().startswith((b"{", b"[")):
        return _offline()
    return Response(answer.status_code, (("Content-Type", type_json),), body)


def _offline(rule: Rule | None = None) -> Response:
    """The answer while the Hub does not answer. For a model the reason also stands where OpenAI has it: a client of
    models reads it there, and would otherwise tell its user `503 (no body)`."""
    message = "the Hub does not answer, and this can't be cached"
    reason = {"error": {"message": message, "type": "unavailable"}} if rule is not None and rule.patient else {}
    return json_response(503, {"message": message, **reason})
