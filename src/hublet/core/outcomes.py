"""What came back for an Operation, and what a pass over the Hub brought.

An answer "says" something only when it is Hub-shaped: the declared status with the declared JSON. Everything else is
Malformed or Unreachable, and says nothing about the world.
"""

from __future__ import annotations

from typing import assert_never

from hublet.core import operations as ops
from hublet.core.questions import (
    Assistant,
    AuthScope,
    Block,
    Credits,
    Download,
    FreeTrial,
    Organizations,
    Policy,
    Question,
    Roster,
    Secret,
)
from hublet.core.records import Fact
from hublet.core.validators import Validator
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Answered:
    """`validator` is there when the Hub gave one, and everything that the answer leads to was found."""

    facts: tuple[Fact, ...]
    validator: Validator | None = None


@dataclass(frozen=True, slots=True)
class NotModified:
    """The Hub has nothing else to say than what this validator is of (RFC 9110 section 15.4.5)."""

    validator: Validator | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A status that the Hub declares, with its JSON message."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """429 or 503: `retry_after` seconds if the Hub said."""

    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer, or a 5xx: timeout, DNS, TLS, refused."""

    reason: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """An answer that is not the Hub's: HTML, not JSON, the wrong shape, too large, a redirect elsewhere."""

    reason: str


Outcome = Answered | NotModified | Refused | Throttled | Unreachable | Malformed


_OF_THE_ACCOUNT = frozenset({"User not found", "Organization not found"})


def is_gone(operation: ops.Operation, outcome: Outcome) -> bool:
    """Whether the Hub says of one assistant or package that there is none, or that it is not for this account."""
    match operation, outcome:
        case ops.GetAssistant() | ops.GetBlock() | ops.DownloadPackage(), Refused(403 | 404, message):
            return message not in _OF_THE_ACCOUNT
    return False


def is_answer(operation: ops.Operation, outcome: Outcome) -> bool:
    """Whether the Hub told what was asked; of one assistant or package `there is none` is an answer too."""
    return isinstance(outcome, Answered | NotModified) or is_gone(operation, outcome)


def is_public(operation: ops.Operation) -> bool:
    """Whether the Hub answers it whatever the key is: packages are given to anybody."""
    return isinstance(operation, ops.GetBlock | ops.DownloadPackage)


def knows_account(operation: ops.Operation, outcome: Outcome) -> bool:
    """Whether an answer shows that the Hub still takes the account's key."""
    return isinstance(outcome, Answered | NotModified) and not is_public(operation)


@dataclass(frozen=True, slots=True)
class PassReport:
    """What one pass brought back. `whole` when it went over everything, not for one question asked in between. `broken`
    when it was to go over everything and its worker did not come to the end."""

    outcomes: tuple[tuple[ops.Operation, Outcome], ...]
    icons: tuple[Fact, ...] = ()
    whole: bool = True
    broken: bool = False


def root(operation: ops.Operation) -> Question:
    """The Question whose confirmation an Operation's answer is; for many secrets the first."""
    return roots(operation)[0]


def roots(operation: ops.Operation) -> tuple[Question, ...]:
    """The Questions that an Operation asks directly, in order; empty when its answers are not kept."""
    match operation:
        case ops.ListAssistants(scope, proxied):
            return (Roster(scope, proxied),)
        case ops.GetAssistant(scope, proxied, slug):
            return (Assistant(scope, proxied, slug),)
        case ops.ListOrganizations():
            return (Organizations(),)
        case ops.GetPolicy():
            return (Policy(),)
        case ops.GetFreeTrialStatus():
            return (FreeTrial(),)
        case ops.GetCredits():
            return (Credits(),)
        case ops.GetAuthScope():
            return (AuthScope(),)
        case ops.GetBlock(slug, version):
            return (Block(slug, version),)
        case ops.DownloadPackage(slug, version):
            return (Download(slug, version),)
        case ops.SyncSecrets(scope):
            return tuple(Secret(scope, fqsn) for fqsn in operation.fqsns if fqsn is not None)
        case ops.ListFullSlugs() | ops.GetCheckoutUrl():
            return ()
        case _:
            assert_never(operation)
