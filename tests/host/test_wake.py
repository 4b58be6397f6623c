"""Noticing that the machine has slept, or that its clock was set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hublet.host.wake import WakeDetector

BEAT = 30.0


@given(st.lists(st.floats(-1e6, 1e6), max_size=20))
def test_the_clocks_coming_apart_is_told_once_each_time_forwards_or_back(jumps: list[float]) -> None:
    """By twenty seconds or more; small corrections are none."""
    wall, monotonic = 1e9, 0.0
    detector = WakeDetector(wall, monotonic)
    for jump in (round(jump, 2) for jump in jumps):
        wall, monotonic = wall + BEAT + jump, monotonic + BEAT
        assert detector.beat(wall, monotonic) is (abs(jump) >= 20) or abs(abs(jump) - 20) < 0.01
        wall, monotonic = wall + BEAT, monotonic + BEAT
        assert not detector.beat(wall, monotonic)
