"""A program under a pseudo-terminal, and all that it has written there so far."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from types import TracebackType

from tests.running import AS_ROOT, Home

ROWS, COLUMNS = 50, 140
_CONTROL = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-9;?<=>]*[ -/]*[@-~]|\x1b[=>78c()][AB0]?|[\r\x07]")
"""Escape sequences: titles, colours, movements of the cursor. What is left are the words, each time they were drawn."""


class Terminal:
    """Runs a home's user's program while its with block lasts; then it and all that it started are ended."""

    def __init__(self, home: Home, words: list[str], environment: dict[str, str]) -> None:
        self._home, self._words, self._environment = home, words, environment
        self._drawn = bytearray()

    @property
    def text(self) -> str:
        """Everything drawn so far, without its control sequences."""
        self._read(0)
        return _CONTROL.sub("", self._drawn.decode(errors="replace"))

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def wait_for(self, words: str, *, within: float = 30, after: int = 0) -> float:
        """Until `words` have been drawn, `after` that many characters of the text; when that was."""
        deadline = time.monotonic() + within
        while words not in self.text[after:]:
            left = deadline - time.monotonic()
            assert left > 0, f"{words!r} was not drawn in {within} s, but: {self.text[-3000:]}"
            assert self._process.poll() is None, f"it ended: {self.text[-3000:]}"
            self._read(min(left, 0.1))
        return time.monotonic()

    def watch(self, seconds: float) -> None:
        """Let it run, and read what it draws meanwhile."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._read(left)

    def __enter__(self) -> Terminal:
        self._master, slave = os.openpty()
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            if AS_ROOT:
                os.fchown(slave, self._home.uid, -1)
            self._process = subprocess.Popen(
                self._home.command(*self._words),
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=self._home.env(**self._environment, TERM="xterm"),
                cwd=self._home.path,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        os.close(self._master)

    def _read(self, seconds: float) -> None:
        """What there is now, or comes in that time."""
        while select.select([self._master], [], [], seconds)[0]:
            try:
                piece = os.read(self._master, 65536)
            except OSError:  # EIO: nobody has the other end
                return
            if not piece:
                return
            self._drawn += piece
            seconds = 0
