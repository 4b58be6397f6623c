"""Passing a request through to the Hub: for what must never be cached.

The target is built anew from the Operation on the configured origin, so nothing that a client wrote can lead elsewhere.
Only the client's own Authorization goes along, never the account's key and never a local token. httpx is imported with
the first request that is passed through: a daemon that never does stays without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from hublet.core.messages import Response, error_response, type_json
from hublet.core.operations import Call
from hublet.upstream.order import Hub

if TYPE_CHECKING:
    import httpx

_RELAYED = frozenset({200, 401, 404, 500})


class Forwarder:
    """`hub` gives the Hub as it is configured now. `transport` replaces the network in tests."""

    def __init__(self, hub: Callable[[], Hub], *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._hub, self._transport = hub, transport

    async def forward(self, call: Call, authorization: str | None) -> Response:
        """The Hub's answer, or a 503 with a message when there is none. Asked once: it may have had an effect."""
        if authorization is None or not _own(authorization):
            return error_response(
                401, "this is passed through to the Hub and needs your own Hub credentials", hint="send a con_ key"
            )
        import httpx

        from hublet.upstream.http import trust

        hub = self._hub()
        headers = {"Authorization": authorization, "Accept": "application/json"}
        timeout = httpx.Timeout(hub.timeout, connect=hub.connect_timeout)
        try:
            async with (
                asyncio.timeout(hub.timeout),
                httpx.AsyncClient(verify=trust(hub.ca_file), timeout=timeout, transport=self._transport) as client,
            ):
                answer = await client.request(call.method, hub.url.rstrip("/") + call.target, headers=headers)
        except (TimeoutError, httpx.HTTPError, OSError):
            return error_response(503, "the Hub does not answer, and this can't be cached")
        try:
            answer.json()
        except ValueError:
            return error_response(503, "the Hub did not answer with JSON")
        if answer.status_code not in _RELAYED:
            return error_response(503, f"the Hub answered {answer.status_code}")
        return Response(answer.status_code, (("Content-Type", type_json),), answer.content)


def _own(authorization: str) -> bool:
    """Whether this is a credential for the Hub: a local token stays here, and `Bearer undefined` is none at all."""
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    return scheme.lower() == "bearer" and value not in ("", "undefined", "null") and not value.startswith("hublet_")
