"""Two brakes on clients that keep trying: how long a refusal is held back, and which refusals get a log line.

Both are pure: the time is passed in, and the caller does the waiting and the writing.
"""

from __future__ import annotations

from hublet.core.values import dataclass


class Brake:
    """How long the refusal of a failed try is held back: `first` seconds, twice as long with each further failure up to
    `most`, and `first` again after `calm` seconds without a failure.

    It slows scripts down and keeps their noise small. Against guessing, a token is protected by its 256 random bits.
    """

    def __init__(self, first: float, most: float, *, calm: float = 60.0) -> None:
        self._first, self._most, self._calm = first, most, calm
        self._at, self._wait = 0.0, 0.0

    def failed(self, now: float) -> float:
        """A try has failed: the number of seconds for which its refusal is to be held back."""
        going_on = self._wait and now - self._at < self._calm
        self._at, self._wait = now, min(self._most, self._wait * 2) if going_on else self._first
        return self._wait


@dataclass(slots=True)
class _Window:
    since: float
    said: int = 0
    left_out: int = 0


class Quiet:
    """Which lines of a flood are written: `burst` of each kind in `window` seconds. The others are counted, and the
    caller says how many there were once the window is over (`due`)."""

    def __init__(self, *, burst: int = 5, window: float = 60.0) -> None:
        self.window = window
        self._burst = burst
        self._windows: dict[str, _Window] = {}

    def speaks(self, kind: str, now: float) -> bool:
        """Whether a line of this kind is to be written now."""
        window = self._windows.get(kind)
        if window is None or (now - window.since >= self.window and not window.left_out):
            window = self._windows[kind] = _Window(now)
        if window.said < self._burst:
            window.said += 1
            return True
        window.left_out += 1
        return False

    def due(self, now: float) -> list[tuple[str, int]]:
        """The kinds whose window is over, each with how many lines were left out. Each number is given once."""
        found = [
            (kind, window.left_out)
            for kind, window in self._windows.items()
            if window.left_out and now - window.since >= self.window
        ]
        for kind, _ in found:
            del self._windows[kind]
        return found
