"""The daemon's events, passed on to the page as server-sent events (the HTML standard, section 9.2).

    up         the daemon is reached, or reached again
    down       the daemon can't be reached: the data has `message` and `hint`
    happened   one of the daemon's own events (serve/events.py)
    ended      the page's own process ends: the data has `message`

A stream outlives the daemon: it tries again until the daemon is back, and continues after the last event that it sent.
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
"""Events that wait for a page that reads none. Of more the oldest are dropped, which is harmless: the page fetches the
whole state at whatever event comes."""
_FIRST = 0
"""Asking for events after this id gives all that the daemon keeps."""


class Stream(AsyncIterator[bytes]):
    """A streamed body. Transitions: open → ended (no new events; those that wait are still sent) → closed."""

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
        """Send `ended` as the last event."""
        self._task.cancel()
        self._say("ended", {"message": message})
        self._ended = True

    async def aclose(self) -> None:
        self._ended = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._closed(self)

    # The daemon's events

    def _say(self, kind: str, value: dict[str, Any]) -> None:
        self._put(b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(value)))

    def _put(self, piece: bytes) -> None:
        self._waiting.append(piece)
        self._news.set()

    async def _follow(self) -> None:
        while True:
            problem = await self._listen()
            if self._tries and not self._down:
                # Only at the second try: a restart is not worth a message when the service manager holds the socket.
                self._down = True
                self._say("down", problem)
            await asyncio.sleep(PAUSES[min(self._tries, len(PAUSES) - 1)])
            self._tries += 1

    async def _listen(self) -> dict[str, str]:
        """Pass events on until the daemon ends the stream or can't be reached. Returns the reason, for `down`."""
        try:
            async with aclosing(self._daemon.lines("GET", f"/events/{self._last}")) as lines:
                async for line in lines:
                    self._hear(line)
        except HubletError as error:
            return {"message": error.message, "hint": error.hint}
        return {"message": "the daemon has ended", "hint": ""}

    def _hear(self, line: dict[str, Any]) -> None:
        """Take a line from the daemon: the last event's id, which comes first; an event; or `{}`, a sign of life."""
        self._tries, self._down = 0, False
        if "last" in line:
            self._say("up", {})
        elif "kind" in line:
            if self._last != _FIRST or line["kind"] != "missed":
                self._say("happened", line)
            self._last = int(line["id"])
        else:
            self._put(b":\n\n")
