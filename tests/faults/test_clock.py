"""A clock that jumps: back by years, forth by years, and to where it was. Nothing is lost, and nothing is asked in a
storm."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.in_process import InProcess, in_process, text

YEAR = 365 * 86400.0


@pytest.mark.parametrize("jump", [-10 * YEAR, -3600.0, 3600.0, 10 * YEAR])
def test_configs_are_served_whatever_the_clock_says(tmp_path: Path, jump: float) -> None:
    """Jumped while it runs and over a restart; a pass then makes things fresh; back again, too."""

    async def look(it: InProcess, title: str) -> None:
        response = await it.ask("GET", "/ide/list-assistants")
        assert response.status == 200
        assert title in text(response)
        assert int(dict(response.headers)["Age"]) >= 0

    async def story() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()
            clock = it.clock
            clock.advance(jump)
            await look(it, "Rust Smith")
            it.hub.edit_assistant("dana/rust-smith", "Rust Smith", "After the jump")
            await it.sync.run_pass()
            await look(it, "After the jump")
            clock.advance(-jump)
            await look(it, "After the jump")
            it.hub.edit_assistant("dana/rust-smith", "After the jump", "And back")
            await it.sync.run_pass()
            assert it.sync.saving.failed_since is None
            asked = it.sync.asked_of_hub
            for _ in range(20):
                await look(it, "And back")
            assert it.sync.asked_of_hub == asked
            clock.advance(jump)
        async with in_process(tmp_path, clock=clock) as it:
            it.network.up = False
            await look(it, "And back")

    asyncio.run(story())
