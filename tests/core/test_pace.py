"""When the Hub is asked again: in its interval, later after failures, never while it asked to be left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.ledger import Ledger
from hublet.core.pace import LONGEST_WAIT, Surroundings, asked_to_wait, calm, next_pass_in, pace_in, stretched

NOW = 1_750_000_000.0
chances = st.floats(0, 1)
intervals = st.floats(1, 30 * 86400)
paces = st.sampled_from(["normal", "slow"])


@given(chances, st.floats(1, 86400))
def test_after_a_good_pass_the_next_is_an_interval_away_give_or_take_a_tenth(chance: float, interval: float) -> None:
    """So that a company's machines don't ask in step."""
    wait = next_pass_in(Ledger(), NOW, interval=interval, chance=chance)
    assert interval * 0.899 <= wait <= interval * 1.101


@pytest.mark.parametrize(
    ("failures", "longest"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 900), (7, 900), (10**6, 900)]
)
def test_after_failures_the_wait_doubles_up_to_the_interval(failures: int, longest: float) -> None:
    """With full jitter it is anything up to a ceiling, but not zero. A million failures in a row do not overflow."""
    ledger = Ledger(failures=failures)
    assert next_pass_in(ledger, NOW, interval=900, chance=1) == longest
    assert next_pass_in(ledger, NOW, interval=900, chance=0.5) == longest / 2
    assert next_pass_in(ledger, NOW, interval=900, chance=0) == 2


@given(chances, st.integers(0, 50), st.floats(1, LONGEST_WAIT))
def test_never_before_the_hub_wants_to_be_asked(chance: float, failures: int, asked: float) -> None:
    """A Retry-After counts before the interval and before the backoff."""
    ledger = Ledger(failures=failures, not_before=NOW + asked)
    assert next_pass_in(ledger, NOW, interval=900, chance=chance) >= asked - 1e-6
    assert asked_to_wait(ledger, NOW) == pytest.approx(asked)


@pytest.mark.parametrize("not_before", [0.0, NOW - 1, NOW, NOW + LONGEST_WAIT + 1, NOW + 86400 * 365])
def test_a_wish_that_is_over_or_can_not_have_been_made_is_none(not_before: float) -> None:
    """A wait that is longer than a Retry-After is ever believed comes from a clock that was set back, and must not last
    for a year."""
    ledger = Ledger(not_before=not_before)
    assert asked_to_wait(ledger, NOW) == 0
    assert next_pass_in(ledger, NOW, interval=900, chance=0.5) == pytest.approx(900)


@pytest.mark.parametrize("on_battery", [False, True])
@pytest.mark.parametrize("metered", [False, True])
@pytest.mark.parametrize("setting", ["normal", "slow", "pause"])
def test_battery_and_meter_follow_one_setting(on_battery: bool, metered: bool, setting: str) -> None:
    """Either of them, or both; on the plug and a free connection it says nothing."""
    expected = setting if on_battery or metered else "normal"
    assert pace_in(Surroundings(on_battery, metered), setting) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("surroundings", "words"),
    [
        (Surroundings(), ""),
        (Surroundings(on_battery=True), "on battery"),
        (Surroundings(metered=True), "on a metered connection"),
        (Surroundings(on_battery=True, metered=True), "on battery and a metered connection"),
    ],
)
def test_the_reason_in_words(surroundings: Surroundings, words: str) -> None:
    assert str(surroundings) == words


@pytest.mark.parametrize(
    ("interval", "slow"), [(1, 8), (900, 7200), (2700, 21600), (7200, 21600), (21600, 21600), (86400, 86400)]
)
def test_a_slow_interval_is_eight_times_as_long_up_to_six_hours(interval: float, slow: float) -> None:
    """An interval that is longer anyway stays."""
    assert stretched(interval, "slow") == slow
    assert stretched(interval, "normal") == interval


@given(intervals, st.floats(1, 7 * 86400), paces)
def test_what_may_be_left_between_passes_bounds_a_slow_pace_and_no_other(
    interval: float, longest: float, pace: str
) -> None:
    """It is shorter where secret values or the readiness would be lost sooner. The configured interval is never
    shortened."""
    found = stretched(interval, pace, longest)  # type: ignore[arg-type]
    assert interval <= found <= max(interval, longest)


@pytest.mark.parametrize("unasked", ["normal", "slow", "pause"])
@pytest.mark.parametrize("setting", ["normal", "slow", "pause"])
def test_of_two_reasons_to_be_slow_the_slower_counts(setting: str, unasked: str) -> None:
    """While somebody waits for news, only the reasons of the machine count."""
    slowness = ["normal", "slow", "pause"]
    here = Surroundings(on_battery=True)
    assert pace_in(here, setting, unasked, watched=True) == setting  # type: ignore[arg-type]
    assert pace_in(Surroundings(), setting, unasked, watched=False) == unasked  # type: ignore[arg-type]
    both = pace_in(here, setting, unasked, watched=False)  # type: ignore[arg-type]
    assert slowness.index(both) == max(slowness.index(setting), slowness.index(unasked))


@given(chances, st.integers(0, 50), intervals, st.integers(0, 60))
def test_slow_is_never_sooner_than_normal_and_pause_is_never(
    chance: float, failures: int, interval: float, forgiven: int
) -> None:
    """With any dice, failures and interval; and slow is at most eight times later."""
    ledger = Ledger(failures=failures)

    def wait(pace: str) -> float | None:
        return next_pass_in(ledger, NOW, interval=interval, chance=chance, pace=pace, forgiven=forgiven)  # type: ignore[arg-type]

    normal, slow = wait("normal"), wait("slow")
    assert normal is not None
    assert slow is not None
    assert normal <= slow <= 8 * normal * 1.000001
    assert wait("pause") is None


@given(chances, st.integers(1, 50), st.integers(0, 60), intervals)
def test_what_is_forgiven_only_shortens_the_wait(chance: float, failures: int, forgiven: int, interval: float) -> None:
    """Down to that of a first failure, whatever was forgiven."""
    ledger = Ledger(failures=failures)
    plain = next_pass_in(ledger, NOW, interval=interval, chance=chance)
    lenient = next_pass_in(ledger, NOW, interval=interval, chance=chance, forgiven=forgiven)
    first = next_pass_in(Ledger(failures=1), NOW, interval=interval, chance=chance)
    assert first is not None
    assert plain is not None
    assert lenient is not None
    assert first <= lenient <= plain


@given(chances, st.integers(0, 50), st.floats(1, LONGEST_WAIT), paces)
def test_no_pace_asks_before_a_retry_after(chance: float, failures: int, asked: float, pace: str) -> None:
    ledger = Ledger(failures=failures, not_before=NOW + asked)
    wait = next_pass_in(ledger, NOW, interval=900, chance=chance, pace=pace)  # type: ignore[arg-type]
    assert wait is not None
    assert wait >= asked - 1e-6


@given(st.integers(0, 10**6), intervals)
def test_passes_for_what_seems_back_come_less_often_when_in_vain(in_vain: int, interval: float) -> None:
    """Half a minute apart at first; never more than an interval, or half a minute where that is shorter."""
    assert calm(0, interval) == 30
    assert calm(in_vain, interval) <= calm(in_vain + 1, interval) <= max(30, interval)
