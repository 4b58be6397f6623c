"""One client over standard input and output, from its first message to the end of its input."""

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
"""Calls what it is given whenever something happened, for ever. Blocks."""


async def serve(ask: Ask, follow: Follow) -> None:
    """Serve until the client closes our input."""
    catalogue = Catalogue(ask)
    telling = Telling(catalogue)
    offering = Offering(catalogue, telling)
    loop = asyncio.get_running_loop()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(telling.wake)

    async with stdio_server() as (incoming, outgoing), anyio.create_task_group() as tasks:
        tasks.start_soon(telling.run)
        # A thread that nobody waits for: it may be in the middle of a wait for the daemon when the client goes.
        threading.Thread(target=follow, args=(wake,), name="events", daemon=True).start()
        await offering.server.run(incoming, outgoing, offering.options())
        tasks.cancel_scope.cancel()
