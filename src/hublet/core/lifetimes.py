"""For how long an answer is fresh (its freshness lifetime, RFC 9111 section 4.2), and what passes ask for again.

    by each pass   the policy, the organizations, every list, and assistants that are in use but in no list
    seldom         what hardly changes or follows from the above: the free trial, the key's scope, what `cn` asks for
                   when its user names no assistant, packages at `latest`, secrets. With a list that has changed, all
                   that its assistants use is asked for again, so that no package or secret is missed.
    never          packages of a fixed version

Whatever a client finds stale is asked for at once. All times are in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import inf

from hublet.core import operations as ops
from hublet.core.ledger import Ledger
from hublet.core.locations import location_of
from hublet.core.outcomes import root
from hublet.core.questions import (
    LATEST,
    PERSONAL,
    AuthScope,
    Block,
    Credits,
    Download,
    FreeTrial,
    Question,
    Scope,
    Secret,
)
from hublet.core.records import Known, Record, Withdrawn
from hublet.core.state import State, confirmed_at

SELDOM = 86400.0
"""How long passes leave what they ask for seldom."""
AHEAD = 60.0
"""An answer that is dated up to this many seconds in the future is still fresh: clocks are corrected all the time."""
SPENDING = 300.0
"""How long a count (of credits, or of the free trial's requests) is fresh while it is being used up."""


def fresh_for(question: Question, known: Known | None, *, interval: float, seldom: float) -> float:
    """The freshness lifetime of what is kept of a Question. `interval` is the time between passes, `seldom` that after
    which passes ask again for what they ask for seldom."""
    match question, known:
        case ((Block(version=version) | Download(version=version)), Record()) if version != LATEST:
            return inf
        case ((FreeTrial() | AuthScope()), Record()):
            return seldom
        case Secret(), Record(content=content) if content.template.text != b"null":
            # A secret that was not found may be created at any moment, by somebody who waits for it here.
            return seldom if location_of(content)[0] != "not_found" else interval
    return interval


def is_fresh(confirmed_at: float, lifetime: float, now: float) -> bool:
    """Whether an answer is still within its freshness lifetime, in seconds. One that is dated further in the future
    than clocks are corrected by is not: the clock was set back since, and nobody knows how old it is."""
    return confirmed_at == inf or (confirmed_at - AHEAD <= now and now - confirmed_at < lifetime)


def rested(state: State, now: float, *, scopes: Iterable[Scope], seldom: float) -> frozenset[ops.Operation]:
    """What a pass over these scopes would ask for but need not ask now: it is younger than `seldom`, and nothing is
    wrong with it."""
    found: list[ops.Operation] = [ops.GetFreeTrialStatus(), ops.GetAuthScope()]
    found += (operation for scope in (PERSONAL, *scopes) for operation in ops.defaults_of(scope))
    return frozenset(operation for operation in found if not is_due(state, root(operation), now, seldom=seldom))


def seldom_due(state: State, now: float, *, seldom: float) -> Iterator[ops.Operation]:
    """The credits and the packages at `latest` that a client has asked for once and that are due again."""
    for question, known in state.records.items():
        operation = _seldom(question, known)
        if operation is not None and is_due(state, question, now, seldom=seldom):
            yield operation


def resting_packages(state: State) -> Iterator[ops.Operation]:
    """The packages that were asked for once and that passes over a Hub leave alone: those of a fixed version, which a
    Hub never changes, and those that are not there. In a folder both can be other files by now."""
    for question, known in state.records.items():
        match question:
            case Block(slug, version) if isinstance(known, Withdrawn) or version != LATEST:
                yield ops.GetBlock(slug, version)
            case Download(slug, version) if isinstance(known, Withdrawn) or version != LATEST:
                yield ops.DownloadPackage(slug, version)


def is_due(state: State, question: Question, now: float, *, seldom: float) -> bool:
    """Whether something that passes ask for seldom has to be asked for now: it was never answered, or `seldom` ago, or
    something is wrong with it that only another answer can mend. A time in the future, which a clock that was set back
    leaves, counts as long ago."""
    at, ledger = confirmed_at(state, question), state.ledger
    return at is None or not 0 <= now - at < seldom or _is_amiss(ledger, question)


def _is_amiss(ledger: Ledger, question: Question) -> bool:
    found: tuple[Mapping[Question, object], ...] = (ledger.troubles, ledger.absent, ledger.held)
    return any(question in each for each in found)


def _seldom(question: Question, known: Known) -> ops.Operation | None:
    match question, known:
        case Credits(), Record():
            return ops.GetCredits()
        case Block(slug, version), Record() if version == LATEST:
            return ops.GetBlock(slug, version)
        case Download(slug, version), Record() if version == LATEST:
            return ops.DownloadPackage(slug, version)
    return None


def is_of_each_pass(operation: ops.Operation) -> bool:
    """Whether every pass asks for it: a list, the organizations, the policy, an assistant in use."""
    each = ops.ListAssistants | ops.ListOrganizations | ops.GetPolicy | ops.GetAssistant
    return isinstance(operation, each) and not ops.is_default(operation)
