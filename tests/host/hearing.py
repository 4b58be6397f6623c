"""A Desktop that listens to a bus, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hublet.core.pace import Surroundings
from hublet.host.desktop import Desktop


@dataclass
class Heard:
    """A Desktop that listens, and how often it has called back so far; `now` is the time of its clock."""

    desktop: Desktop
    changes: int = 0
    backs: int = 0
    now: float = 1000.0

    @property
    def look(self) -> Surroundings:
        return self.desktop.surroundings()

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not check():
                await asyncio.sleep(0.01)

    async def known(self) -> None:
        """Wait until it is connected and has read the properties of all services."""
        await self.until(lambda: not self.desktop._connecting and not self.desktop._unread)
        await self.until(lambda: self.desktop._reading is None)


@asynccontextmanager
async def listening(address: str, power: Path = Path("/nonexistent")) -> AsyncIterator[Heard]:
    def changed() -> None:
        heard.changes += 1

    def back() -> None:
        heard.backs += 1

    desktop = Desktop(
        {"DBUS_SYSTEM_BUS_ADDRESS": address}, changed=changed, back=back, power=power, clock=lambda: heard.now
    )
    heard = Heard(desktop)
    desktop.start()
    try:
        await heard.known()
        yield heard
    finally:
        await desktop.close()
