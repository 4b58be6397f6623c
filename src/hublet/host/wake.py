"""Noticing that the machine has slept: the wall clock went on while the monotonic one stood still."""

from __future__ import annotations


class WakeDetector:
    """Fed with both clocks at every heartbeat, in seconds.

    On Linux and macOS the monotonic clock stops while the machine sleeps. A step of the wall clock by hand or NTP looks
    the same; a pass too many does no harm.
    """

    def __init__(self, wall: float, monotonic: float, *, least: float = 20.0) -> None:
        self._wall, self._monotonic, self._least = wall, monotonic, least

    def beat(self, wall: float, monotonic: float) -> bool:
        """Whether the machine has slept for at least `least` seconds since the last beat."""
        slept = (wall - self._wall) - (monotonic - self._monotonic)
        self._wall, self._monotonic = wall, monotonic
        return slept >= self._least
