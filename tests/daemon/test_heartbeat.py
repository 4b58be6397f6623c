"""What a heartbeat does when there is nothing to find: little, because it is all that an idle daemon does."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from hublet import reload
from hublet.config.loading import load_config
from hublet.core.outcomes import PassReport
from hublet.daemon import Daemon

MOST_CALLS = 240
"""Of Python's and C's functions. What runs each half minute is never in the processor's caches: each counts tenfold."""


def calls_of(work: Callable[[], None]) -> Counter[str]:
    """How often it called what."""
    found: Counter[str] = Counter()

    def told(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            found[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            found[arg.__qualname__] += 1

    sys.setprofile(told)
    try:
        work()
    finally:
        sys.setprofile(None)
    del found["setprofile"]
    return found


def test_a_heartbeat_that_finds_nothing_calls_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The config file is watched, a pass has been made, nobody listens."""
    monkeypatch.setattr(reload, "_AFTER_START", 0.0)
    file = tmp_path / "config.yaml"
    file.touch(mode=0o600)
    file.write_text(
        f"serve:\n  port: 0\ncache:\n  directory: {tmp_path / 'data'}\n  runtime_directory: {tmp_path / 'run'}\n"
        f"keys:\n  file: {tmp_path / 'key' / 'kek'}\n"
    )

    async def run(order: object, say: object) -> PassReport:
        return PassReport((), (), whole=True)

    async def life() -> Counter[str]:
        daemon = Daemon(
            load_config(file),
            environment={"CONTINUE_API_KEY": "con_" + "a" * 40, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"},
            run=run,  # type: ignore[arg-type]
            file=file,
        )
        await daemon.start()
        try:
            tending, service = daemon.tending, daemon.service
            assert tending is not None
            assert tending._reloader is not None
            assert service is not None
            assert service.sync is not None
            async with asyncio.timeout(20):
                while not tending._reloader._watch.watched or not service.tally.recent:
                    await asyncio.sleep(0.01)
            tending.heartbeat()
            return calls_of(tending.heartbeat)
        finally:
            await daemon.stop()

    found = asyncio.run(life())
    assert found.total() <= MOST_CALLS, found
