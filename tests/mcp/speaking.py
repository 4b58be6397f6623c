"""The official client of PyPI, which starts the real `hublet mcp`, and every byte that this has said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.session import IncomingMessage
from mcp_types import Prompt, Resource

from tests.running import HUBLET, Home

T = TypeVar("T")

ERAS = ("legacy", "2026-07-28")
"""Protocol versions up to 2025-11-25, with a handshake, and later ones."""

_KEPT = 'out=$0 err=$1; shift; "$@" 2>> "$err" | tee -a "$out"'


def said(home: Home) -> dict[str, bytes]:
    """All that was written to standard output and standard error so far, by any `hublet mcp` of this home."""
    return {path.name: path.read_bytes() for path in sorted(home.path.glob("said-*"))}


@asynccontextmanager
async def speaking(
    home: Home, era: str = "legacy", heard: Callable[[object], None] = lambda _: None
) -> AsyncIterator[Client]:
    """A client with a `hublet mcp` of its own; `heard` gets each notification."""
    for name in ("said-out", "said-err"):
        path = home.path / name
        path.touch()
        home.own()
    words = home.command("sh", "-c", _KEPT, str(home.path / "said-out"), str(home.path / "said-err"), *HUBLET, "mcp")
    parameters = StdioServerParameters(command=words[0], args=words[1:], env=home.env(), cwd=str(home.path))

    async def handle(message: IncomingMessage) -> None:
        heard(message)

    async with Client(stdio_client(parameters), mode=era, message_handler=handle) as client:
        yield client


def run(coroutine: Coroutine[Any, Any, T], *, within: float = 60.0) -> T:
    """A conversation from beginning to end, within a time."""

    async def main() -> T:
        async with asyncio.timeout(within):
            return await coroutine

    return asyncio.run(main())


async def all_resources(client: Client) -> list[Resource]:
    """Over all pages."""
    found, cursor = [], None
    while True:
        page = await client.list_resources(cursor=cursor)
        found += page.resources
        if (cursor := page.next_cursor) is None:
            return found


async def all_prompts(client: Client) -> list[Prompt]:
    found, cursor = [], None
    while True:
        page = await client.list_prompts(cursor=cursor)
        found += page.prompts
        if (cursor := page.next_cursor) is None:
            return found


def text_of(result: Any) -> str:
    """The text of a resource, a prompt or a tool's result."""
    parts = getattr(result, "contents", None) or getattr(result, "content", None)
    parts = parts or [message.content for message in result.messages]
    return "".join(part.text for part in parts)
