"""Waits until nothing has changed for a moment, because editors and checkouts write in many steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Calm:
    """Calls `then` when `nudge` has not been called for `settled` seconds, and at the latest `longest` seconds after
    the first nudge.

    Belongs to the event loop that is running when it is made.
    """

    def __init__(self, then: Callable[[], None], *, settled: float, longest: float) -> None:
        self._then, self._settled, self._longest = then, settled, longest
        self._timer: asyncio.TimerHandle | None = None
        self._restless_since: float | None = None
        self._loop = asyncio.get_running_loop()

    def nudge_from_a_thread(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.nudge)

    def nudge(self) -> None:
        now = self._loop.time()
        if self._restless_since is None:
            self._restless_since = now
        if self._timer is not None:
            self._timer.cancel()
        when = min(now + self._settled, self._restless_since + self._longest)
        self._timer = self._loop.call_at(when, self._calm)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _calm(self) -> None:
        self._timer = self._restless_since = None
        self._then()
