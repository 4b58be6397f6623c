"""Two brakes for who keeps trying: how long a failed try waits for its refusal, and which refusals get a log line.

Both are pure: the time is passed in, and what waits or writes is somebody else.
"""

from __future__ import annotations

from hublet.core.values import dataclass


class Brake:
    """How long a failed try waits: `first` seconds, twice as long for each further one up to `most`, and `first` again
    after `calm` seconds without one.

    It slows scripts down and keeps their noise small. What protects a token from being guessed are its 256 random bits.
    """

    def __init__(self, first: float, most: float, *, calm: float = 60.0) -> None:
        self._first, self._most, self._calm = first, most, calm
        self._at, self._wait = 0.0, 0.0

    def failed(self, now: float) -> float:
        """A try has failed: for how many seconds its refusal is held back."""
        going_on = self._wait and now - self._at < self._calm
        self._at, self._wait = now, min(self._most, self._wait * 2) if going_on else self._first
        return self._wait


@dataclass(slots=True)
class _Window:
    since: float
    said: int = 0
    left_out: int = 0


class Quiet:
    """Which lines of a flood are written: `burst` of each kind in `window` seconds. The others are counted, and their
    number is to be said when the window is over (`due`)."""

    def __init__(self, *, burst: int = 5, window: float = 60.0) -> None:
        self.window = window
        self._burst = burst
        self._windows: dict[str, _Window] = {}

    def speaks(self, kind: str, now: float) -> bool:
        """Whether this one is written."""
        window = self._windows.get(kind)
        if window is None or (now - window.since >= self.window and not window.left_out):
            window = self._windows[kind] = _Window(now)
        if window.said < self._burst:
            window.said += 1
            return True
        window.left_out += 1
        return False

    def due(self, now: float) -> list[tuple[str, int]]:
        """How many of each kind were left out in windows that are over; said once."""
        found = [
            (kind, window.left_out)
            for kind, window in self._windows.items()
            if window.left_out and now - window.since >= self.window
        ]
        for kind, _ in found:
            del self._windows[kind]
        return found
