"""What a pass has changed and met, in words for people."""

from __future__ import annotations

from collections.abc import Iterator

from hublet.core import operations as ops
from hublet.core.ledger import Ledger
from hublet.core.outcomes import Malformed, PassReport, Refused, Throttled, Unreachable, is_answer, knows_account
from hublet.core.questions import Assistant
from hublet.core.state import Put, State, Verdict
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """What a pass has changed and met. `added`, `changed` and `withdrawn` count assistants, `held` the quarantines that
    wait for the user, `asked` and `answered` Operations. `took` is in seconds. `problems` has a line for each Operation
    without an answer, and for each new quarantine."""

    added: int = 0
    changed: int = 0
    withdrawn: int = 0
    held: int = 0
    asked: int = 0
    answered: int = 0
    of_account: int = 0
    """How many of the answers needed the account's key: packages are given to anybody."""
    took: float = 0.0
    problems: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    """A line for each endpoint of an assistant that has changed, also of those that are held."""
    locked: bool = False

    def to_plain(self) -> dict[str, object]:
        """The summary as a JSON value."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def summarise(report: PassReport, verdict: Verdict, before: State, took: float) -> Summary:
    """The summary of a pass from its report, the verdict on it, and the state before; `took` is in seconds."""
    assistants = [c for c in verdict.changes if isinstance(c, Put) and isinstance(c.question, Assistant)]
    fresh_tombstones = sum(change.why == "withdrawn" for change in assistants)
    lines = []
    for operation, outcome in report.outcomes:
        if is_answer(operation, outcome):
            continue
        match outcome:
            case Refused(status, message):
                lines.append(f"{describe(operation)}: the Hub answered {status} {message}")
            case Throttled():
                lines.append(f"{describe(operation)}: the Hub asked to wait")
            case Unreachable(reason) | Malformed(reason):
                lines.append(f"{describe(operation)}: {reason}")
    newly_held = verdict.ledger.waiting.keys() - before.ledger.waiting.keys()
    lines += [
        verdict.ledger.troubles[question].detail for question in newly_held if question in verdict.ledger.troubles
    ]
    return Summary(
        added=sum(change.why == "added" for change in assistants),
        changed=sum(change.why == "changed" for change in assistants),
        withdrawn=fresh_tombstones,
        held=len(verdict.ledger.waiting),
        asked=len(report.outcomes),
        answered=sum(is_answer(operation, outcome) for operation, outcome in report.outcomes),
        of_account=sum(knows_account(operation, outcome) for operation, outcome in report.outcomes),
        took=took,
        problems=tuple(map(_one_line, lines)),
        endpoints=tuple(_endpoint_lines(verdict.ledger, before.ledger)),
        locked=verdict.ledger.lock is not None,
    )


def _one_line(text: str) -> str:
    """A text without characters that could end a line of the log or control a terminal: the Hub's words are in it."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _endpoint_lines(ledger: Ledger, before: Ledger) -> Iterator[str]:
    for question, moved in ledger.moved.items():
        if isinstance(question, Assistant) and moved != before.moved.get(question):
            yield from (f"{question.slug}: {change}" for change in moved.changes)
    for question, held in ledger.waiting.items():
        was = before.held.get(question)
        if isinstance(question, Assistant) and (was is None or was.changes != held.changes):
            yield from (f"{question.slug} is held: {change}" for change in held.changes)


def describe(operation: ops.Operation) -> str:
    """An Operation for people: the name of its endpoint, its package and its scope, as in `list-assistants (org_1)`."""
    scope = getattr(operation, "scope", None)
    slug = getattr(operation, "slug", None)
    path = ops.row_of(operation).path
    name = path[1] if path[0] == "ide" else path[0]
    return " ".join([name, *([str(slug)] if slug else []), *([f"({scope})"] if scope else [])])
