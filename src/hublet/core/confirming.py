"""When a 304 (Not Modified) counts as an answer.

A validator stands for one answer of the Hub. It may be sent only while everything in that answer is kept just as the
Hub said it: nothing of it is in quarantine, left out, looser than what is served, withdrawn, lost or changed since.
Otherwise a 304 would confirm what is not there, and what is in quarantine would never be looked at again. So a
validator is

    earned      by a 200 that was kept word for word, with everything that it leads to (secrets, icons)
    lost        with the first change of anything that it covers, whoever made the change (`apply` in core/state.py)
    sent        for a week at most, while the answer that it stands for can still be put together from the records

A 304 that counts is judged as if the Hub had said the same words again: every rule for a 200 holds for it.
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
    """The validators that may be sent at this time by this asker; with `only`, just those of these Operations."""
    return {
        operation: validator
        for operation, validator in state.ledger.validators.items()
        if (only is None or operation in only) and validator.asker == asker and is_believed(operation, validator, now)
        if kept(state, operation) is not None
    }


def kept(state: State, operation: ops.Operation) -> tuple[Fact, ...] | None:
    """The facts of an Operation's answer, put together from the records; None when one of them is missing."""
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
    """A report in which each 304 that counts is replaced by the answer that it confirms. A 304 that does not count
    stays one: it shows that the Hub takes the account's key, and says nothing about any record."""
    outcomes: list[tuple[ops.Operation, Outcome]] = []
    for operation, outcome in report.outcomes:
        if isinstance(outcome, NotModified) and outcome.validator is not None:
            # The validator is still in the ledger: nothing that it covers has changed since it was sent.
            facts = kept(state, operation) if state.ledger.validators.get(operation) == outcome.validator else None
            outcome = outcome if facts is None else Answered(facts, outcome.validator)
        outcomes.append((operation, outcome))
    return replace(report, outcomes=tuple(outcomes))


def earned(before: State, after: State, report: PassReport, now: float) -> dict[ops.Operation, Validator]:
    """The validators after a pass. `report` is as the worker told it, with its 304s; `after` is the state with the
    changes of the pass. `now` is the time at which new ones are earned: a 304 makes none younger."""
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
                pass  # it still stands, since all that it covers is kept
            case NotModified() | Refused():
                found.pop(operation, None)
    return found


def _leads_on(operation: ops.Operation) -> bool:
    """Whether an answer tells which secrets have to be asked for, too, which only a whole pass does."""
    return isinstance(operation, ops.ListAssistants | ops.GetAssistant)


def _all_kept(after: State, facts: tuple[Fact, ...]) -> bool:
    """Whether each fact is kept as the Hub said it, and its icons are kept too: a 304 does not tell their addresses, so
    they could not be fetched later."""
    return all(
        isinstance(known := after.records.get(fact.question), Record)
        and known.content == fact.content
        and all(hole.kind != "icon" or Icon(hole.name) in after.records for hole in fact.content.template.holes)
        for fact in facts
    )
