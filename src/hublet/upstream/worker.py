"""The process that a pass runs in: a work order comes in, frames go to standard output, then the process ends.

With it ends all that it needed (TLS, YAML), and whatever a hostile answer has done to a parser: the daemon reads only
what this process has checked and written anew.
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
    from hublet.upstream.folder import FolderHub  # loads what unrolls an assistant, which a Hub does itself

    return FolderHub(order.hub)


def work(order: WorkOrder) -> int:
    """Carry out a work order. Returns the exit code: 0 when the end was written, OUT_OF_MEMORY when an answer took more
    memory than there is."""
    code = 0
    try:
        asyncio.run(_work(order))
    except* MemoryError:
        code = OUT_OF_MEMORY
    return code
