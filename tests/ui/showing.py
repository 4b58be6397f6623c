"""`hublet ui` as a process of the home's user, and what it printed."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.running import HUBLET, Home


@dataclass
class Shown:
    """A page that is served: `url` is the link with its code, `log` what the process said."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def origin(self) -> str:
        return self.url.partition("/#")[0]

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2])

    @property
    def code(self) -> str:
        return self.url.partition("#")[2]


@contextmanager
def page(home: Home, *words: str) -> Iterator[Shown]:
    """Serve the page until the end of the block; nothing of it may end in a traceback."""
    log = home.path / f"ui-{time.monotonic_ns()}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            home.command(*HUBLET, "ui", "--no-browser", *words),
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=home.env(), cwd=home.path,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while (found := re.search(r"http://localhost:\d+/#[\w-]{43}", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "the page did not say its link"
            time.sleep(0.02)
        yield Shown(process, found[0], log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
    assert "Traceback" not in log.read_text(), log.read_text()
