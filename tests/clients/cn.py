"""How the tests start `cn`: what its environment says, and what it gets from whom."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hublet.demo.data import DEMO_KEY
from tests.running import Home

PROGRAM = Path("@continuedev", "cli", "dist", "cn.js")
WITHOUT_HUB = Path("cn-without-hub", "dist", "cn.js")
"""Version 1.5.47, which has no Hub code."""


@dataclass
class Cn:
    """The program, for a home's user. Each run gets a global directory that no run before has seen."""

    home: Home
    node_modules: Path
    program: Path = PROGRAM
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def words(self) -> list[str]:
        return ["node", str(self.node_modules / self.program)]

    def environment(self, base: str, key: str | None) -> dict[str, str]:
        """What it needs to find hublet, and to keep its hands off everything else. Its first questions are answered."""
        own = self.home.path / f"continue-{next(self._numbers)}"
        own.mkdir()
        (own / ".onboarding_complete").touch()
        self.home.own()
        return {
            "CONTINUE_API_BASE": base,
            "CONTINUE_GLOBAL_DIR": str(own),
            "CONTINUE_TELEMETRY_ENABLED": "0",
            "CONTINUE_METRICS_ENABLED": "0",
            "CONTINUE_ALLOW_ANONYMOUS_TELEMETRY": "0",
            "CONTINUE_CLI_AUTO_UPDATED": "1",
            **({"CONTINUE_API_KEY": key} if key else {}),
        }

    def headless(
        self,
        base: str,
        *words: str,
        key: str | None = DEMO_KEY,
        timeout: float = 60,
        more: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """One prompt, `hi`, without a terminal."""
        environment = self.environment(base, key) | dict(more or {})
        return self.home.start_and_wait([*self.words, "-p", *words, "hi"], timeout=timeout, env=environment)
