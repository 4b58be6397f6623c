"""Serving one MCP client over standard input and output, until it closes its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import anyio
from mcp.server.stdio import stdio_server

from hublet.mcp.catalogue import Ask, Catalogue
from hublet.mcp.offering import Offering
from hublet.mcp.telling import Telling

Follow = Callable[[Callable[[], None]], None]
"""Blocks for ever; calls the function that it is given whenever an event has happened in the daemon."""


async def serve(ask: Ask, follow: Follow) -> None:
    """Serve until the client closes our standard input."""
    catalogue = Catalogue(ask)
    telling = Telling(catalogue)
    offering = Offering(catalogue, telling)
    loop = asyncio.get_running_loop()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(telling.wake)

    async with stdio_server() as (incoming, outgoing), anyio.create_task_group() as tasks:
        tasks.start_soon(telling.run)
        # A daemon thread, which nobody joins: it may be waiting for an event when the client goes.
        threading.Thread(target=follow, args=(wake,), name="events", daemon=True).start()
        await offering.server.run(incoming, outgoing, offering.options())
        tasks.cancel_scope.cancel()
