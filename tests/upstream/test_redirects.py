"""Where a Hub may send a question on to, and that no address it names can end more than that one question."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from hublet.core import operations as ops
from hublet.core.outcomes import Malformed, Outcome
from hublet.upstream.http import HubClient, Said
from hublet.upstream.order import Hub


def asked(location: str) -> Outcome | Said:
    def redirect(_: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"Location": location})

    async def ask() -> Outcome | Said:
        async with HubClient(Hub("http://hub.example", None), transport=httpx.MockTransport(redirect)) as client:
            return await client.ask(ops.GetPolicy())

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "location",
    ["http://xn--/", "//xn--", "http://a.xn--.example/", "http://xn--\x7f/", "http://[::1", "http://a:99999999/"],
)
def test_a_redirect_to_an_address_that_is_none_is_a_malformed_answer(location: str) -> None:
    """A host name can be no name at all only once it is decoded (IDNA, RFC 5891): that must not raise."""
    assert isinstance(asked(location), Malformed)
