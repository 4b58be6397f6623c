"""When a 304 counts: the Hub says again what it said, and all of that is kept as it was said.

A validator stands for an answer. It may be sent only while everything in that answer is kept: nothing of it held, left
out, looser than what is served, withdrawn, lost or changed since. Else the Hub would confirm what is not there, and
what was held would never be looked at again. So

    earned      by a 200 of which every word was kept, and whose other parts (secrets, icons) came in too
    lost        with the first change of anything that it covers, whoever made it (core/state.py: `apply`)
    sent        while what it covers can still be put together from the records, and for a week at most

and a 304 is judged as if the same words had been said again: every rule holds for it as for a 200.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hublet.core import operations as ops
from hublet.core.outcomes import Answered, NotModified, Outcome, PassReport, Refused, root
from hublet.core.questions import Assistant, Icon, Roster
from hublet.core.records import Fact, Record
from hublet.core.state import State, members
from hublet.core.validators import Validator, Validators, is_believed


def usable(state: State, asker: str, now: float, only: Collection[ops.Operation] | None = None) -> Validators:
    """The validators that may be sent as this asker at this time; with `only`, of these Operations."""
    return {
        operation: validator
        for operation, validator in state.ledger.validators.items()
        if (only is None or operation in only) and validator.asker == asker and is_believed(operation, validator, now)
        if kept(state, operation) is not None
    }


def kept(state: State, operation: ops.Operation) -> tuple[Fact, ...] | None:
    """The facts of an Operation's answer, as the records have them; None when one is missing."""
    question = root(operation)
    questions = [question]
    if isinstance(question, Roster):
        listed = members(state.records.get(question))
        questions = [*(Assistant(question.scope, question.proxied, slug) for slug in listed), question]
    facts = []
    for each in questions:
        known = state.records.get(each)
        if not isinstance(known, Record):
            return None
        facts.append(Fact(each, known.content))
    return tuple(facts)


def said_again(state: State, report: PassReport) -> PassReport:
    """The report with each 304 that counts as the answer that it confirms. One that does not count stays what it is:
    the Hub has answered the account, and nothing is known of what it said."""
    outcomes: list[tuple[ops.Operation, Outcome]] = []
    for operation, outcome in report.outcomes:
        if isinstance(outcome, NotModified) and outcome.validator is not None:
            # Its validator is the one that stands now: what came in between has changed nothing that it covers.
            facts = kept(state, operation) if state.ledger.validators.get(operation) == outcome.validator else None
            outcome = outcome if facts is None else Answered(facts, outcome.validator)
        outcomes.append((operation, outcome))
    return replace(report, outcomes=tuple(outcomes))


def earned(before: State, after: State, report: PassReport, now: float) -> dict[ops.Operation, Validator]:
    """The validators after a pass; `report` is as it was told, with its 304s. `after` has the pass's changes, `now` is
    when a new one was earned: a 304 makes none younger."""
    found = dict(before.ledger.validators)
    complete = report.whole and all(
        isinstance(outcome, Answered)
        for operation, outcome in report.outcomes
        if isinstance(operation, ops.SyncSecrets)
    )
    for operation, outcome in report.outcomes:
        match outcome:
            case Answered(facts, validator):
                found.pop(operation, None)
                if validator is not None and (complete or not _leads_on(operation)) and _all_kept(after, facts):
                    found[operation] = replace(validator, at=now)
            case NotModified(validator) if found.get(operation) == validator and kept(after, operation) is not None:
                pass  # it stands, as what it is of does
            case NotModified() | Refused():
                found.pop(operation, None)
    return found


def _leads_on(operation: ops.Operation) -> bool:
    """Whether an answer tells which secrets are to be asked for: only a whole pass asks for them."""
    return isinstance(operation, ops.ListAssistants | ops.GetAssistant)


def _all_kept(after: State, facts: tuple[Fact, ...]) -> bool:
    """Whether each is kept as it was said, and its icons are there: a later 304 would not tell where to fetch them."""
    return all(
        isinstance(known := after.records.get(fact.question), Record)
        and known.content == fact.content
        and all(hole.kind != "icon" or Icon(hole.name) in after.records for hole in fact.content.template.holes)
        for fact in facts
    )
