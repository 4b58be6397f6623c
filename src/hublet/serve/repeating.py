"""When the same answer may be sent again without a new decision: the hot path of a client that polls.

Who may ask and what is answered follow from a few values, each of them immutable and replaced as a whole when something
changes: the config, the account, the tokens, the Snapshot. While all of them are the same objects, and the time is
within the second for which `Age` and grade were computed, a new decision would be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hublet.config.loading import Config
from hublet.core.account import Account
from hublet.core.lifetimes import AHEAD
from hublet.core.snapshot import Answer, Snapshot
from hublet.door.tokens import Token
from hublet.serve.tally import AnswerKey

if TYPE_CHECKING:
    from hublet.serve.auditing import Repeated
    from hublet.serve.service import Service


class Basis(NamedTuple):
    """What an admission was decided from, besides the connection and the time. A lock, a quarantine, and whether an
    older copy of the store was put back, are part of the Snapshot's state."""

    config: Config
    account: Account | None
    tokens: tuple[Token, ...]
    snapshot: Snapshot | None


def basis_of(service: Service) -> Basis:
    return Basis(service.config, service.account, service.tokens, service.sync.snapshot if service.sync else None)


def span(answer: Answer, now: float) -> tuple[float, float]:
    """From when (included) until when (not included) an answer has the same `Age` and grade as at `now`."""
    confirmed = answer.confirmed_at
    if confirmed == float("inf"):
        return now, now + 1
    if now < confirmed - AHEAD:
        return float("-inf"), confirmed - AHEAD
    age = int(now - confirmed)
    since, until = (confirmed + age, confirmed + age + 1) if now >= confirmed else (confirmed - AHEAD, confirmed + 1)
    turns_stale = confirmed + answer.fresh_for
    return (since, min(until, turns_stale)) if now < turns_stale else (max(since, turns_stale), until)


def again(
    service: Service, basis: Basis, within: tuple[float, float], key: AnswerKey, repeated: Repeated | None
) -> Callable[[], bool]:
    """A Response's `again`: it says whether everything is as it was, and then counts the answer like any other.

    `within` is `span`'s result; `repeated` counts for the audit log.
    """
    config, account, tokens, snapshot = basis
    since, until = within
    clock, answers = service.clock, service.tally.answers

    def still() -> bool:
        now = clock()
        sync = service.sync
        if (
            not since <= now < until
            or sync is None
            or sync.snapshot is not snapshot
            or service.config is not config
            or service.account is not account
            or service.tokens is not tokens
        ):
            return False
        answers[key] += 1
        if repeated is not None:
            repeated.once_more(now)
        return True

    return still
