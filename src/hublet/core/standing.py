"""How the account stands with the Hub after a pass: its key is taken or refused, or the Hub was not reached.

This decides on the lock, on when the Hub is asked again, and on whether the whole account is held in quarantine.
"""

from __future__ import annotations

from dataclasses import replace

from hublet.core.ledger import Ledger, Lock
from hublet.core.outcomes import Answered, NotModified, PassReport, Refused, Throttled, is_public, knows_account
from hublet.core.pace import LONGEST_WAIT

RELOCK_AFTER = 600.0
"""Two passes that are answered 401, at least this many seconds apart, lock the cache."""


def is_taken(report: PassReport) -> bool:
    """Whether the Hub has answered anything that it answers only with the key of an account."""
    return any(knows_account(*told) for told in report.outcomes)


def all_refused(report: PassReport) -> tuple[str, ...]:
    """What the Hub says if it refuses everything of the account: each status and message once. Empty if it does not.

    If all are 401, the key is refused, which is a matter of the lock. Any other refusal of everything may be the Hub's
    end.
    """
    outcomes = [outcome for operation, outcome in report.outcomes if not is_public(operation)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    if not report.whole or len(outcomes) < 2 or len(refused) < len(outcomes):
        return ()
    if all(outcome.status == 401 for outcome in refused):
        return ()
    return tuple(dict.fromkeys(f"{outcome.status} {outcome.message}" for outcome in refused))


def judge_account(ledger: Ledger, report: PassReport, now: float) -> Ledger:
    """The ledger after a pass has been judged: how long the Hub wants to be left alone, how many passes in a row have
    not reached it, and the lock."""
    outcomes = [outcome for _, outcome in report.outcomes]
    waits = [o.retry_after for o in outcomes if isinstance(o, Throttled) and o.retry_after is not None]
    before = ledger.not_before if ledger.not_before <= now + LONGEST_WAIT else 0.0  # else the clock was set back since
    not_before = max([before, *(now + min(wait, LONGEST_WAIT) for wait in waits)])
    ledger = replace(ledger, not_before=not_before)
    if report.broken:  # the Hub may be well, but the next pass would end the same way: it waits as after a failure
        return replace(ledger, failures=ledger.failures + 1, last_pass=now)
    if not report.whole:
        return ledger
    reached = any(isinstance(outcome, Answered | NotModified | Refused) for outcome in outcomes)
    taken = is_taken(report)
    return replace(
        _locked(ledger, report, now, taken=taken),
        failures=0 if reached else ledger.failures + 1,
        last_pass=now,
        last_success=now if taken else ledger.last_success,
    )


def _locked(ledger: Ledger, report: PassReport, now: float, *, taken: bool) -> Ledger:
    """The ledger with the lock that follows from a whole pass.

    The cache is locked by two passes at least RELOCK_AFTER apart, each with a 401 for two Operations or more, if the
    Hub has taken the key in none between them. Such a lock ends when the Hub takes the key again; others don't.
    """
    if taken:
        lock = None if ledger.lock is not None and ledger.lock.why == "refused" else ledger.lock
        return replace(ledger, refused_at=None, lock=lock)
    unauthorized = sum(isinstance(outcome, Refused) and outcome.status == 401 for _, outcome in report.outcomes)
    if unauthorized < 2:
        return ledger
    if ledger.refused_at is None or ledger.refused_at > now:
        return replace(ledger, refused_at=now)
    if ledger.lock is None and now - ledger.refused_at >= RELOCK_AFTER:
        return replace(ledger, lock=Lock("refused", now))
    return ledger
