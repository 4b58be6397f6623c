"""When the Hub is asked again. All times are in seconds."""

from __future__ import annotations

from typing import Literal

from hublet.core.ledger import Ledger
from hublet.core.values import dataclass

LONGEST_WAIT = 3600.0
"""A Retry-After that is longer counts as this long."""
_FIRST_RETRY = 30.0
_SHORTEST = 2.0
_JITTER = 0.1
_STRETCH = 8.0
LONGEST_STRETCHED = 6 * 3600.0
"""The longest time that a slow pace leaves between passes, unless their interval is longer anyway."""
_CALM = 30.0

Pace = Literal["normal", "slow", "pause"]
"""How passes come: in the configured interval, in a longer one, or not by themselves."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What speaks against asking often. Both are False where the machine can't tell."""

    on_battery: bool = False
    metered: bool = False

    def __str__(self) -> str:
        """`on battery`, `on a metered connection`, both, or an empty text."""
        reasons = [*(["battery"] if self.on_battery else []), *(["a metered connection"] if self.metered else [])]
        return f"on {' and '.join(reasons)}" if reasons else ""


_BY_SLOWNESS: tuple[Pace, ...] = ("normal", "slow", "pause")


def pace_in(surroundings: Surroundings, on_battery: Pace, unasked: Pace = "normal", *, watched: bool = True) -> Pace:
    """The pace of passes now: the slower of two. `on_battery` is the pace on battery and on a metered connection,
    `unasked` the one while nothing waits for news here; `watched` says that something does."""
    here = on_battery if surroundings.on_battery or surroundings.metered else "normal"
    return max(here, "normal" if watched else unasked, key=_BY_SLOWNESS.index)


def stretched(interval: float, pace: Pace, longest: float = LONGEST_STRETCHED) -> float:
    """The interval at a pace. Slow makes it eight times as long, at most `longest`, and never shorter than it is."""
    return interval if pace == "normal" else max(interval, min(interval * _STRETCH, longest))


def next_pass_in(
    ledger: Ledger,
    now: float,
    *,
    interval: float,
    chance: float,
    pace: Pace = "normal",
    longest: float = LONGEST_STRETCHED,
    forgiven: int = 0,
) -> float | None:
    """Seconds until the next pass; None when none begins by itself. `chance` is a random number from 0 to 1.

    After a pass that reached the Hub it is the interval, give or take a tenth, so that a company's machines don't ask
    in step. After failures it is an exponential backoff with full jitter, at most the interval; `forgiven` is how many
    of the failures don't count, because there was no network. The pace stretches both. A Retry-After is always waited
    for.
    """
    if pace == "pause":
        return None
    if ledger.failures == 0:
        wait = interval * (1 - _JITTER + 2 * _JITTER * chance)
    else:
        failures = max(1, ledger.failures - forgiven)
        ceiling = min(interval, _FIRST_RETRY * 2 ** min(failures - 1, 30))
        wait = max(_SHORTEST, ceiling * chance)
    return max(wait * stretched(interval, pace, longest) / interval, asked_to_wait(ledger, now))


def calm(in_vain: int, interval: float) -> float:
    """Seconds between two passes that begin because the network or the Hub seems to be back; `in_vain` is how many such
    passes have failed in a row. It doubles with each of them."""
    return min(max(interval, _CALM), _CALM * 2.0 ** min(in_vain, 30))


def asked_to_wait(ledger: Ledger, now: float) -> float:
    """Seconds for which the Hub has asked to be left alone, from now on. More than LONGEST_WAIT comes from a clock that
    was set back, and counts as none."""
    wait = ledger.not_before - now
    return wait if 0 < wait <= LONGEST_WAIT else 0.0
