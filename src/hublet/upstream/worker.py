"""The process that a pass runs in: a work order on standard input, frames on standard output, then it is gone.

It takes with it what it needed (httpx, YAML) and whatever a hostile answer could do to a parser: the daemon reads only
what this process has looked at and written down anew.
"""

from __future__ import annotations

import asyncio
import sys

from hublet.upstream.folder import FolderHub
from hublet.upstream.http import HubClient
from hublet.upstream.order import END, Word, WorkOrder, order_from_json, word_to_frames
from hublet.upstream.survey import survey


async def _work(order: WorkOrder) -> None:
    out = sys.stdout.buffer

    def say(word: Word) -> None:
        for data in word_to_frames(word):
            out.write(data)
        out.flush()

    folder = order.hub.folder is not None
    async with FolderHub(order.hub) if folder else HubClient(order.hub, order.validators) as hub:
        await survey(order, hub, say)
    out.write(END)
    out.flush()


def main() -> int:
    """Exit code 0 when the end was written."""
    order = order_from_json(sys.stdin.buffer.read())
    asyncio.run(_work(order))
    return 0


if __name__ == "__main__":
    sys.exit(main())
