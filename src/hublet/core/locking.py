"""The lock under which no secret value is served: who sets it, and who may lift it.

refused     set by two passes that were answered 401; lifted when the Hub takes the key again, or by the user
asked       set by the user; lifted by the user
restored    set when an older store was put back; lifted by the user who accepts that store, and by nothing else

Where the Hub must agree to every unlocking (`hub_must_agree`), the user's word makes of any lock a `refused` one, which
the Hub lifts.
"""

from __future__ import annotations

from dataclasses import replace

from hublet.core.ledger import Ledger, Lock


def is_restored(ledger: Ledger) -> bool:
    """Whether an older store was put back that the user has not accepted yet."""
    return ledger.lock is not None and ledger.lock.why == "restored"


def locked(ledger: Ledger, now: float) -> Ledger:
    """Locked by the user. A `restored` lock stays one: otherwise `unlocked` could lift it without an acceptance."""
    return ledger if is_restored(ledger) else replace(ledger, lock=Lock("asked", now))


def unlocked(ledger: Ledger, now: float, *, hub_must_agree: bool = False) -> Ledger:
    """Unlocked by the user; a `restored` lock stays. Where the Hub must agree, the lock waits for the Hub from now on,
    whatever it was: the user may have locked what the Hub had locked before."""
    if ledger.lock is None or is_restored(ledger):
        return ledger
    return _left_to_the_hub(ledger, now) if hub_must_agree else replace(ledger, lock=None, refused_at=None)


def accepted(ledger: Ledger, now: float, *, hub_must_agree: bool) -> Ledger:
    """The user accepts an older store that was put back. Where the Hub must agree to every unlocking, it must agree to
    this one too: the older store may be from before the Hub refused the key."""
    if not is_restored(ledger):
        return ledger
    return _left_to_the_hub(ledger, now) if hub_must_agree else replace(ledger, lock=None, refused_at=None)


def _left_to_the_hub(ledger: Ledger, now: float) -> Ledger:
    return replace(ledger, lock=Lock("refused", now), refused_at=None)


def anew(ledger: Ledger) -> Ledger:
    """An empty ledger, for another account. Only a `restored` lock is taken over."""
    return Ledger(lock=ledger.lock) if is_restored(ledger) else Ledger()
