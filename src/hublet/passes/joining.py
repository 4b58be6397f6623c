"""Waiting together for a task that others wait for too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def joined(task: asyncio.Task[T], ended: Callable[[], T]) -> T:
    """The result of a shared task, or `ended()` when the task itself was cancelled. Cancelling the caller cancels
    nothing else: the task goes on for the others."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        caller = asyncio.current_task()
        if not task.cancelled() or (caller is not None and caller.cancelling() > 0):
            raise
        return ended()
