"""When the Hub is asked again: in its interval, later after failures, never while it asked to be left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.ledger import Ledger
from hublet.core.pace import LONGEST_WAIT, asked_to_wait, next_pass_in

NOW = 1_750_000_000.0
chances = st.floats(0, 1)


@given(chances, st.floats(1, 86400))
def test_after_a_good_pass_the_next_is_an_interval_away_give_or_take_a_tenth(chance: float, interval: float) -> None:
    """So that a company's machines don't ask in step."""
    wait = next_pass_in(Ledger(), NOW, interval=interval, chance=chance)
    assert interval * 0.899 <= wait <= interval * 1.101


@pytest.mark.parametrize(
    ("failures", "longest"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 900), (7, 900), (10**6, 900)]
)
def test_after_failures_the_wait_doubles_up_to_the_interval(failures: int, longest: float) -> None:
    """Full jitter: anything up to the ceiling, but not at once; a row of a million does not overflow."""
    ledger = Ledger(failures=failures)
    assert next_pass_in(ledger, NOW, interval=900, chance=1) == longest
    assert next_pass_in(ledger, NOW, interval=900, chance=0.5) == longest / 2
    assert next_pass_in(ledger, NOW, interval=900, chance=0) == 2


@given(chances, st.integers(0, 50), st.floats(1, LONGEST_WAIT))
def test_never_before_the_hub_wants_to_be_asked(chance: float, failures: int, asked: float) -> None:
    """A Retry-After wins over both."""
    ledger = Ledger(failures=failures, not_before=NOW + asked)
    assert next_pass_in(ledger, NOW, interval=900, chance=chance) >= asked - 1e-6
    assert asked_to_wait(ledger, NOW) == pytest.approx(asked)


@pytest.mark.parametrize("not_before", [0.0, NOW - 1, NOW, NOW + LONGEST_WAIT + 1, NOW + 86400 * 365])
def test_a_wish_that_is_over_or_can_not_have_been_made_is_none(not_before: float) -> None:
    """Longer than a Retry-After is ever believed is a clock that was set back: asking must not end for a year."""
    ledger = Ledger(not_before=not_before)
    assert asked_to_wait(ledger, NOW) == 0
    assert next_pass_in(ledger, NOW, interval=900, chance=0.5) == pytest.approx(900)
