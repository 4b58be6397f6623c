"""What came back for an Operation (an Outcome), and what a whole pass brought back (a PassReport).

Only a Hub-shaped answer says something about the account: one with a status that the Hub's document declares, and the
JSON that it declares. Everything else is Malformed or Unreachable, and says nothing.
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
    """What the Hub said, taken apart into facts. By the `validator` the same answer is known again; it is None where no
    answer may be known again, and where something that the answer leads to could not be had."""

    facts: tuple[Fact, ...]
    validator: Validator | None = None


@dataclass(frozen=True, slots=True)
class NotModified:
    """The Hub's answer is still the one that this validator stands for: a 304 (RFC 9110 section 15.4.5), or the same
    words once more."""

    validator: Validator | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """An error status that the Hub declares, with its JSON message."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """429 or 503: not to be asked before `retry_after` seconds have passed; None if the Hub named no time."""

    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer (a timeout, a name that is not found, TLS that fails, a refused connection), or a 5xx."""

    reason: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """An answer that can't be the Hub's: HTML, no JSON, of the wrong shape, too large, or a redirect elsewhere."""

    reason: str


Outcome = Answered | NotModified | Refused | Throttled | Unreachable | Malformed


_OF_THE_ACCOUNT = frozenset({"User not found", "Organization not found"})


def is_gone(operation: ops.Operation, outcome: Outcome) -> bool:
    """Whether the Hub says that one assistant or package does not exist, or is not for this account."""
    match operation, outcome:
        case ops.GetAssistant() | ops.GetBlock() | ops.DownloadPackage(), Refused(403 | 404, message):
            return message not in _OF_THE_ACCOUNT
    return False


def is_answer(operation: ops.Operation, outcome: Outcome) -> bool:
    """Whether the Hub told what was asked. That one assistant or package does not exist is an answer, too."""
    return isinstance(outcome, Answered | NotModified) or is_gone(operation, outcome)


def is_public(operation: ops.Operation) -> bool:
    """Whether the Hub answers it with any key: packages are given to anybody."""
    return isinstance(operation, ops.GetBlock | ops.DownloadPackage)


def knows_account(operation: ops.Operation, outcome: Outcome) -> bool:
    """Whether an answer shows that the Hub still takes the account's key."""
    return isinstance(outcome, Answered | NotModified) and not is_public(operation)


@dataclass(frozen=True, slots=True)
class PassReport:
    """What one pass brought back. `whole` if it went over everything: a few Operations that were asked between passes
    make a report, too. `broken` if it was to go over everything, and its worker has not come to the end."""

    outcomes: tuple[tuple[ops.Operation, Outcome], ...]
    icons: tuple[Fact, ...] = ()
    whole: bool = True
    broken: bool = False


def root(operation: ops.Operation) -> Question:
    """The Question that an Operation's answer confirms; of several secrets the first. Raises IndexError when there is
    none (`roots`)."""
    return roots(operation)[0]


def roots(operation: ops.Operation) -> tuple[Question, ...]:
    """The Questions that an Operation asks directly, in order; empty when its answer is not kept."""
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
