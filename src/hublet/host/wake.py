"""Notices that the machine has slept (the wall clock went on while the monotonic clock stood still), or that its wall
clock was set, forward or back."""

from __future__ import annotations


class WakeDetector:
    """Is given both clocks at every heartbeat, in seconds.

    On Linux and macOS the monotonic clock stops while the machine sleeps. Setting the wall clock, by hand or by NTP,
    looks the same, and needs the same: a pass, because neither ages nor the time of the next pass are right any more.
    """

    def __init__(self, wall: float, monotonic: float, *, least: float = 20.0) -> None:
        self._wall, self._monotonic, self._least = wall, monotonic, least

    def beat(self, wall: float, monotonic: float) -> bool:
        """Whether the two clocks have come apart by at least `least` seconds since the last beat."""
        apart = (wall - self._wall) - (monotonic - self._monotonic)
        self._wall, self._monotonic = wall, monotonic
        return abs(apart) >= self._least
