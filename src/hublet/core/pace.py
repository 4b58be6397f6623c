"""When the Hub is asked again."""

from __future__ import annotations

from typing import Literal

from hublet.core.ledger import Ledger
from hublet.core.values import dataclass

LONGEST_WAIT = 3600.0
"""A Retry-After is believed up to this many seconds."""
_FIRST_RETRY = 30.0
_SHORTEST = 2.0
_JITTER = 0.1
_STRETCH = 8.0
LONGEST_STRETCHED = 6 * 3600.0
"""The longest that a slow pace leaves between passes, unless they come more seldom anyway."""
_CALM = 30.0

Pace = Literal["normal", "slow", "pause"]
"""In the configured interval; in a longer one; not by itself at all."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What speaks against asking often. What nobody knows speaks against nothing."""

    on_battery: bool = False
    metered: bool = False

    def __str__(self) -> str:
        """`on battery`, `on a metered connection`, both, or nothing."""
        reasons = [*(["battery"] if self.on_battery else []), *(["a metered connection"] if self.metered else [])]
        return f"on {' and '.join(reasons)}" if reasons else ""


_BY_SLOWNESS: tuple[Pace, ...] = ("normal", "slow", "pause")


def pace_in(surroundings: Surroundings, on_battery: Pace, unasked: Pace = "normal", *, watched: bool = True) -> Pace:
    """The pace where the machine is now: the slower of two. `on_battery` is the setting that a metered connection
    follows too, `unasked` the one for when nothing here waits for news (`watched`: something does)."""
    here = on_battery if surroundings.on_battery or surroundings.metered else "normal"
    return max(here, "normal" if watched else unasked, key=_BY_SLOWNESS.index)


def stretched(interval: float, pace: Pace, longest: float = LONGEST_STRETCHED) -> float:
    """The interval at a pace, in seconds: eight times as long where it is slow, up to `longest`, never shorter."""
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
    """Seconds until the next pass; None when there is none by itself. `chance` is a random number from 0 to 1.

    After a pass that reached the Hub: the interval, give or take a tenth, so that a company's machines don't ask in
    step. After failures: exponential backoff with full jitter, capped at the interval; those `forgiven` (there was no
    network then) don't count. Stretched by the pace. Never before a Retry-After.
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
    """Seconds between two passes that begin because something seems to be back: more each time that it was in vain."""
    return min(max(interval, _CALM), _CALM * 2.0 ** min(in_vain, 30))


def asked_to_wait(ledger: Ledger, now: float) -> float:
    """Seconds for which the Hub still wants to be left alone; more than it could have asked for is a clock set back."""
    wait = ledger.not_before - now
    return wait if 0 < wait <= LONGEST_WAIT else 0.0
