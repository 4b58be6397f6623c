"""What happens, handed on to the page as server-sent events (the HTML standard, section 9.2).

    up         the daemon is reached (again)
    down       it is not: data has `message` and `hint`
    happened   one of the daemon's own events (serve/events.py)
    ended      the page's own process ends: data has `message`

A stream outlives the daemon: it asks again until it is back, and goes on behind the last event that it has told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import orjson

from hublet.core.errors import HubletError
from hublet.ui.asking import Daemon

PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between two tries to reach a daemon that is not there; the last of them from then on."""
_MOST_WAITING = 512
"""Of a page that takes nothing the oldest are dropped: it asks for the state anew at whatever comes."""
_FIRST = 0
"""Behind this id is all that the daemon keeps."""


class Stream(AsyncIterator[bytes]):
    """A streamed body. Transitions: open → ended (nothing more comes, what waits still goes out) → closed."""

    def __init__(self, daemon: Daemon, closed: Callable[[Stream], None]) -> None:
        self._daemon, self._closed = daemon, closed
        self._waiting: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._news = asyncio.Event()
        self._ended = False
        self._last, self._tries, self._down = _FIRST, 0, False
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="page's events")

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()

    def end(self, message: str) -> None:
        """Say that the page's process ends, and no more."""
        self._task.cancel()
        self._say("ended", {"message": message})
        self._ended = True

    async def aclose(self) -> None:
        self._ended = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._closed(self)

    # Within

    def _say(self, kind: str, value: dict[str, Any]) -> None:
        self._put(b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(value)))

    def _put(self, piece: bytes) -> None:
        self._waiting.append(piece)
        self._news.set()

    async def _follow(self) -> None:
        while True:
            problem = await self._listen()
            if self._tries and not self._down:
                # Told at the second try: a daemon that is restarted with its socket held is not missed by anybody.
                self._down = True
                self._say("down", problem)
            await asyncio.sleep(PAUSES[min(self._tries, len(PAUSES) - 1)])
            self._tries += 1

    async def _listen(self) -> dict[str, str]:
        """Hand on what happens for as long as the daemon tells it; why it does not any more."""
        try:
            async with aclosing(self._daemon.lines("GET", f"/events/{self._last}")) as lines:
                async for line in lines:
                    self._hear(line)
        except HubletError as error:
            return {"message": error.message, "hint": error.hint}
        return {"message": "the daemon has ended", "hint": ""}

    def _hear(self, line: dict[str, Any]) -> None:
        """A line of the daemon's: the id to go on from, which comes first; an event; or a mere sign of life."""
        self._tries, self._down = 0, False
        if "last" in line:
            self._say("up", {})
        elif "kind" in line:
            if self._last != _FIRST or line["kind"] != "missed":
                self._say("happened", line)
            self._last = int(line["id"])
        else:
            self._put(b":\n\n")
