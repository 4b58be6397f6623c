"""The lock under which no secret value is served: who sets it, and who may lift it.

refused     set by two passes of 401; lifted by the Hub that takes the key, or by the user offline
asked       set by the user; lifted by the user (where the Hub must agree to that: by the Hub, after the user)
restored    set when an older store was put back; lifted by the user who accepts that store, by nothing else
"""

from __future__ import annotations

from dataclasses import replace

from hublet.core.ledger import Ledger, Lock


def is_restored(ledger: Ledger) -> bool:
    """Whether an older store was put back, with which the user has not agreed yet."""
    return ledger.lock is not None and ledger.lock.why == "restored"


def locked(ledger: Ledger, now: float) -> Ledger:
    """Locked by the user. What waits for an acceptance goes on waiting for it: else `unlocked` would do."""
    return ledger if is_restored(ledger) else replace(ledger, lock=Lock("asked", now))


def unlocked(ledger: Ledger, now: float, *, hub_must_agree: bool = False) -> Ledger:
    """Unlocked by the user, unless it waits for an acceptance. Where the Hub must agree, it waits for the Hub from now
    on: the user may have locked what the Hub had locked before."""
    if ledger.lock is None or is_restored(ledger):
        return ledger
    return _left_to_the_hub(ledger, now) if hub_must_agree else replace(ledger, lock=None, refused_at=None)


def accepted(ledger: Ledger, now: float, *, hub_must_agree: bool) -> Ledger:
    """The older store is the user's own doing. Where the Hub must agree to every unlocking it must to this one, too:
    the older store may be from before the Hub refused the key."""
    if not is_restored(ledger):
        return ledger
    return _left_to_the_hub(ledger, now) if hub_must_agree else replace(ledger, lock=None, refused_at=None)


def _left_to_the_hub(ledger: Ledger, now: float) -> Ledger:
    return replace(ledger, lock=Lock("refused", now), refused_at=None)


def anew(ledger: Ledger) -> Ledger:
    """The ledger of another account."""
    return Ledger(lock=ledger.lock) if is_restored(ledger) else Ledger()
