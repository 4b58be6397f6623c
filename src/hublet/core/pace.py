"""When the Hub is asked again."""

from __future__ import annotations

from hublet.core.ledger import Ledger

LONGEST_WAIT = 3600.0
"""A Retry-After is believed up to this many seconds."""
_FIRST_RETRY = 30.0
_SHORTEST = 2.0
_JITTER = 0.1


def next_pass_in(ledger: Ledger, now: float, *, interval: float, chance: float) -> float:
    """Seconds until the next pass. `chance` is a random number from 0 to 1.

    After a pass that reached the Hub: the interval, give or take a tenth, so that a company's machines don't ask in
    step. After failures: exponential backoff with full jitter, capped at the interval. Never before a Retry-After.
    """
    if ledger.failures == 0:
        wait = interval * (1 - _JITTER + 2 * _JITTER * chance)
    else:
        ceiling = min(interval, _FIRST_RETRY * 2 ** min(ledger.failures - 1, 30))
        wait = max(_SHORTEST, ceiling * chance)
    return max(wait, asked_to_wait(ledger, now))


def asked_to_wait(ledger: Ledger, now: float) -> float:
    """Seconds for which the Hub still wants to be left alone; more than it could have asked for is a clock set back."""
    wait = ledger.not_before - now
    return wait if 0 < wait <= LONGEST_WAIT else 0.0
