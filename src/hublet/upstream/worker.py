"""The process that a pass runs in: a work order comes in, frames go to standard output, then it is gone.

It takes with it what it needed (TLS, YAML) and whatever a hostile answer could do to a parser: the daemon reads only
what this process has looked at and written down anew.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from hublet.upstream.http import HubClient
from hublet.upstream.order import END, OUT_OF_MEMORY, Word, WorkOrder, word_to_frames
from hublet.upstream.survey import survey

if TYPE_CHECKING:
    from hublet.upstream.folder import FolderHub


async def _work(order: WorkOrder) -> None:
    out = sys.stdout.buffer

    def say(word: Word) -> None:
        for data in word_to_frames(word):
            out.write(data)
        out.flush()

    async with _hub(order) as hub:
        await survey(order, hub, say)
    out.write(END)
    out.flush()


def _hub(order: WorkOrder) -> HubClient | FolderHub:
    if order.hub.folder is None:
        return HubClient(order.hub, order.validators)
    from hublet.upstream.folder import FolderHub  # unrolls by itself: much that a Hub does for others

    return FolderHub(order.hub)


def work(order: WorkOrder) -> int:
    """The exit code: 0 when the end was written, OUT_OF_MEMORY when there was not enough for an answer."""
    code = 0
    try:
        asyncio.run(_work(order))
    except* MemoryError:
        code = OUT_OF_MEMORY
    return code
