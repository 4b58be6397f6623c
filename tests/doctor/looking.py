"""Scenes for the doctor: a home with a real store, a hublet of this process behind a real admin socket, or neither.

with home(tmp_path) as it:          a config, no store
    it.found(cache.daemon)          what a check says of it
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.in_process import HUB_URL, Clock, InProcess, in_process

from hublet.doctor.findings import Finding, Findings
from hublet.doctor.scene import Scene, gather
from hublet.door.binding import bind_unix
from hublet.door.listeners import Listener
from hublet.serve.admin import Admin

Settings = Mapping[str, Mapping[str, object]]


@dataclass
class Place:
    """A home below `path`: its config, its environment, and what the doctor finds there."""

    path: Path
    settings: dict[str, dict[str, object]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(exist_ok=True)
        self.environment = {"HOME": str(self.home), "PATH": str(self.path / "bin"), **self.environment}
        self.configure()

    @property
    def home(self) -> Path:
        return self.path / "home"

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def key(self) -> Path:
        return self.path / "key" / "kek"

    @property
    def admin(self) -> Path:
        return self.path / "run" / "admin.sock"

    def all_settings(self) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = {
            "hub": {"url": HUB_URL},
            "serve": {"port": 0},
            "cache": {"directory": self.data, "runtime_directory": self.admin.parent},
            "keys": {"file": self.key},
        }
        for name, keys in self.settings.items():
            found.setdefault(name, {}).update(keys)
        return found

    def configure(self, **settings: dict[str, object]) -> None:
        for name, keys in settings.items():
            self.settings.setdefault(name, {}).update(keys)
        text = "".join(
            f"{name}:\n" + "".join(f"  {key}: {value}\n" for key, value in keys.items())
            for name, keys in self.all_settings().items()
        )
        self.config.touch(mode=0o600)
        self.config.write_text(text)

    def scene(self) -> Scene:
        return gather(
            self.config, self.environment, managed_file=self.path / "managed.yaml", managed_owner=os.geteuid()
        )

    def found(self, *checks: Callable[[Scene], Findings]) -> list[Finding]:
        scene = self.scene()
        return [finding for check in checks for finding in check(scene)]

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        """A file below the home."""
        file = self.home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def with_store(self, *, at: float | None = None) -> Place:
        """Log in and sync once, `at` that time; the Hub is the demo's, in this process."""

        async def fill() -> None:
            async with in_process(self.path, clock=Clock(at or time.time()), settings=self.all_settings()) as it:
                await it.log_in()

        asyncio.run(fill())
        self.configure()
        return self

    @asynccontextmanager
    async def running(self, *, at: float | None = None) -> AsyncIterator[InProcess]:
        """A hublet with its admin door, and no other."""
        clock = Clock(at or time.time())
        listener = Listener()
        async with in_process(self.path, clock=clock, settings=self.all_settings()) as it:
            self.configure()
            admin = Admin(it.service)
            await listener.serve(bind_unix(self.admin), admin)
            try:
                yield it
            finally:
                await listener.drain(1.0)
                admin.close()

    async def told(self, *checks: Callable[[Scene], Findings]) -> list[Finding]:
        """`found`, while the event loop serves."""
        return await asyncio.to_thread(self.found, *checks)


def only(findings: list[Finding], check: str) -> Finding:
    """The one line of a check."""
    found = [finding for finding in findings if finding.check == check]
    assert len(found) == 1, (check, findings)
    return found[0]


def grades(findings: list[Finding]) -> dict[str, str]:
    """The worst grade of each check."""
    order = ("ok", "warning", "problem")
    worst: dict[str, str] = {}
    for one in findings:
        worst[one.check] = max(worst.get(one.check, "ok"), one.grade, key=order.index)
    return worst
