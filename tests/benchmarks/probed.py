"""A daemon that watches itself: `python probed.py FILE run`. At SIGUSR2 it writes to FILE what it saw since the last.

Counted are the bodies that were serialised; timed are each callback of the event loop (as the loop's own thread spent
it, and by the clock) and how late a timer of one millisecond came.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import hublet.core.records

renders = 0
late: list[float] = []
longest: dict[str, tuple[float, str]] = {}
_render = hublet.core.records.render
_run = asyncio.Handle._run
_TICK = 0.001


def counted(*words: Any, **more: Any) -> bytes:
    global renders
    renders += 1
    return _render(*words, **more)


def timed(handle: asyncio.Handle) -> None:
    began, spent = time.perf_counter(), time.thread_time()
    _run(handle)
    if getattr(handle, "_callback", None) in (tell, tick):
        return
    for name, took in (("clock", time.perf_counter() - began), ("thread", time.thread_time() - spent)):
        if took > longest.get(name, (0.0, ""))[0]:
            longest[name] = took, name_of(handle)


def name_of(handle: asyncio.Handle) -> str:
    callback = getattr(handle, "_callback", None)
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        return f"task {task.get_name()}, {getattr(task.get_coro(), '__qualname__', '')}"
    return getattr(callback, "__qualname__", repr(callback))[:120]


def tick(loop: asyncio.AbstractEventLoop, due: float) -> None:
    now = loop.time()
    late.append(now - due)
    loop.call_at(now + _TICK, tick, loop, now + _TICK)


def tell(file: Path) -> None:
    global renders
    late.sort()
    value = {
        "renders": renders,
        "late": late[-1] if late else 0.0,
        "late_999": late[len(late) * 999 // 1000] if late else 0.0,
        "ticks": len(late),
        "longest": longest,
    }
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps(value))
    beside.replace(file)
    renders = 0
    late.clear()
    longest.clear()


def main() -> None:
    file = Path(sys.argv.pop(1))
    hublet.core.records.render = counted  # before anybody has taken it by name
    asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]
    from hublet.daemon import Daemon

    start = Daemon.start

    async def begun(self: Daemon) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR2, tell, file)
        tick(loop, loop.time())
        await start(self)

    Daemon.start = begun  # type: ignore[method-assign]
    from hublet.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
