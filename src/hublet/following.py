"""When the Hub is a folder: a pass begins soon after something in it has changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path

from hublet.host.calm import Calm
from hublet.host.folders import FolderWatch

log = logging.getLogger("hublet.folder")

_AFTER_START = 1.0
"""Seconds until watching begins, so that its imports don't delay the first answers."""
_SETTLED = 0.5
"""Seconds without a further change after which a pass begins: tools write many files at once (a checkout, a rebase)."""
_LONGEST_UNREST = 5.0
"""Seconds after the first change at which it begins at the latest."""


class Follower:
    """Calls `changed` after something in the folder has changed.

    Transitions: (made) → (follow | look)* → stop; all on one event loop.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._watch: FolderWatch | None = None
        self._calm = Calm(self.look, settled=_SETTLED, longest=_LONGEST_UNREST)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def follow(self, folder: str | None) -> None:
        """Watch this folder from now on and no other; None for no folder at all."""
        before = self._watch
        if before is not None:
            self._keep(asyncio.to_thread(before.stop))
        self._watch = FolderWatch(Path(folder), self._calm.nudge_from_a_thread) if folder is not None else None
        if self._watch is not None:
            self._keep(self._begin(self._watch))

    def look(self) -> None:
        """Look for a change that no notification told of: on some file systems there are none."""
        if self._watch is not None:
            self._keep(self._look(self._watch))

    async def stop(self) -> None:
        self._calm.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        watch, self._watch = self._watch, None
        if watch is not None:
            await asyncio.to_thread(watch.stop)

    async def _begin(self, watch: FolderWatch) -> None:
        await asyncio.sleep(_AFTER_START)
        if watch is not self._watch:
            return
        try:
            await asyncio.to_thread(watch.start)
        except OSError as error:
            log.warning("the folder can't be watched, it is looked at now and then: %s", error.strerror or error)
        await self._look(watch)

    async def _look(self, watch: FolderWatch) -> None:
        if await asyncio.to_thread(watch.look) and watch is self._watch:
            log.info("the Hub's folder has changed")
            self._changed()

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work, name="folder")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
