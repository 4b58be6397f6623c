"""Failed tries wait longer and longer, and a flood of refusals is a few lines and a number."""

from __future__ import annotations

from hublet.door.brake import Brake, Quiet


def test_each_failed_try_waits_twice_as_long_up_to_a_limit() -> None:
    """From the first one on."""
    brake = Brake(0.1, 0.5)
    assert [brake.failed(now) for now in range(6)] == [0.1, 0.2, 0.4, 0.5, 0.5, 0.5]


def test_a_minute_without_a_failed_try_is_forgotten() -> None:
    """A person who mistyped a token once does not wait the longer for it tomorrow."""
    brake = Brake(0.1, 0.5)
    assert [brake.failed(now) for now in (0, 1, 60.9, 120.9)] == [0.1, 0.2, 0.4, 0.1]


def test_of_a_flood_five_lines_a_minute_are_written_and_the_rest_is_a_number() -> None:
    """The number is said once, when the minute is over."""
    quiet = Quiet()
    assert [quiet.speaks("host", 0.0) for _ in range(1000)] == [True] * 5 + [False] * 995
    assert quiet.due(59.9) == []
    assert quiet.due(60.0) == [("host", 995)]
    assert quiet.due(60.0) == []
    assert quiet.speaks("host", 60.0)


def test_what_is_left_out_is_never_forgotten() -> None:
    """Also when nobody asked for the number before the next refusal, and for each kind by itself."""
    quiet = Quiet(burst=1, window=60)
    assert [quiet.speaks("host", at) for at in (0, 1, 70, 71)] == [True, False, False, False]
    assert quiet.speaks("origin", 71)
    assert quiet.due(80) == [("host", 3)]


def test_slow_refusals_are_all_written() -> None:
    """A window begins anew when nothing was left out of the last."""
    quiet = Quiet(burst=1, window=60)
    assert all(quiet.speaks("host", at) for at in range(0, 6000, 60))
