"""What a change means to those who watch: two states go in, events come out; and the one who looks for them.

Fed by what goes on anyway (a change that is settled, a judged pass, a login, the heartbeat): no timer of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from hublet.core.ledger import Ledger
from hublet.core.naming import PROXIED, name_of, names_by_id
from hublet.core.operations import GetAssistant, is_default
from hublet.core.outcomes import PassReport
from hublet.core.questions import (
    LATEST,
    Assistant,
    Block,
    Organizations,
    Policy,
    Question,
    Roster,
    Scope,
)
from hublet.core.records import Known, Record, Withdrawn
from hublet.core.snapshot import Snapshot, Terms
from hublet.core.state import Change, Drop, Put, State, members, organizations
from hublet.serve.auditing import name_of_operation
from hublet.serve.events import Kind
from hublet.serve.service import Service
from hublet.serve.status import see
from hublet.serve.tally import Passed
from hublet.settling import Tell
from hublet.sync import Sync

if TYPE_CHECKING:
    from hublet.summary import Summary

_LATE = 1.25
"""Late is what is older than so many times what passes may leave between two askings: they keep a tenth of that to
chance, and take a while."""


class Notice(NamedTuple):
    """An event that has not been told yet."""

    kind: Kind
    what: str = ""
    scope: Scope = None
    detail: str = ""


def noticed(before: State, after: State, changes: tuple[Change, ...]) -> tuple[Notice, ...]:
    """What follows from a change for people and programs; each thing once, though it may be kept in two variants."""
    names = names_by_id(organizations(before.records.get(Organizations())))
    names |= names_by_id(organizations(after.records.get(Organizations())))
    return _once([*_changed(before, after, changes, names), *_of_the_ledger(before.ledger, after.ledger, names)])


def _once(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Each thing once: of a list's proxied variant only what is not said of the list as well."""
    found = dict.fromkeys(notices)
    return tuple(
        notice
        for notice in found
        if not notice.what.endswith(PROXIED) or notice._replace(what=notice.what.removesuffix(PROXIED)) not in found
    )


def _named(question: Question, names: Mapping[str, str]) -> str:
    """A Question's name in an event, which never tells a secret's."""
    return name_of(question, names, secrets=False)


def _changed(before: State, after: State, changes: tuple[Change, ...], names: Mapping[str, str]) -> Iterator[Notice]:
    filled = {change.question for change in changes if isinstance(change.question, Roster)} - before.records.keys()
    packages = 0
    for change in changes:
        question, old = change.question, before.records.get(change.question)
        scope = getattr(question, "scope", None)
        match change, question:
            case Drop(), Roster():
                yield Notice("withdrawn", _named(question, names), scope, "all of them")
            case Put(known=Withdrawn(), why="withdrawn"), _:
                yield Notice("withdrawn", _named(question, names), scope)
            case Put(known=Record()), Roster() if question in filled:
                count = len(members(after.records.get(question)))
                yield Notice("revision", _named(question, names), scope, f"added, {count} assistants")
            case Put(known=Record() as known), Roster() if _same_members(old, known):
                yield Notice("revision", _named(question, names), scope, "another order")
            case Put(known=Record() as known), Assistant() if Roster(scope, question.proxied) not in filled:
                if (detail := _how(old, known)) is not None:
                    yield Notice("revision", _named(question, names), scope, detail)
            case Put(known=Record() as known), Organizations() | Policy():
                if (detail := _how(old, known)) is not None:
                    yield Notice("revision", _named(question, names), None, detail)
            case Put(known=Record()), Block() if not isinstance(old, Record):
                packages += 1
            case Put(known=Record() as known), Block():
                if (detail := _how(old, known)) is not None:
                    yield Notice("revision", _named(question, names), None, detail)
    if packages:
        yield Notice("revision", "packages", None, f"{packages} added")


def _same_members(old: Known | None, new: Record) -> bool:
    """Those that came or went are told by themselves."""
    was, now = members(old), members(new)
    return was != now and set(was) == set(now)


def _how(old: Known | None, new: Record) -> str | None:
    """In which way a record is another; None when its content is the same."""
    if not isinstance(old, Record):
        return "added"
    if old.content.template != new.content.template:
        return "changed"
    return "secret values changed" if old.content.bindings != new.content.bindings else None


def _of_the_ledger(before: Ledger, after: Ledger, names: Mapping[str, str]) -> Iterator[Notice]:
    for question, held in after.waiting.items():
        was = before.held.get(question)
        if was is None or (was.gone, was.changes) != (held.gone, held.changes):
            detail = "; ".join(held.changes) or f"{len(held.gone)} gone"
            yield Notice("held", _named(question, names), getattr(question, "scope", None), detail)
    for question, moved in after.moved.items():
        if moved != before.moved.get(question):
            scope = getattr(question, "scope", None)
            yield Notice("endpoints", _named(question, names), scope, "; ".join(moved.changes))
    if (before.lock is None) != (after.lock is None):
        why = {"refused": "the Hub refuses the account's key", "asked": "as you asked"}
        yield Notice("locked", detail=why[after.lock.why]) if after.lock is not None else Notice("unlocked")
    if bool(before.failures) != bool(after.failures):
        yield Notice("offline" if after.failures else "online")


class Seen(NamedTuple):
    """What a Snapshot looked like at a moment (`at`), which holds until `until` if it is not replaced before.

    `late` is what should have been confirmed by now: what passes ask for by itself, and is older than they explain. Of
    what is held or missing something else is told. `expired` is whose secret values are no longer served because the
    Hub has not confirmed them for too long.
    """

    snapshot: Snapshot
    at: float
    until: float
    late: frozenset[Question]
    expired: frozenset[Question]


def seen(snapshot: Snapshot, now: float, *, proxied: bool = True) -> Seen:
    """Look all records over: what takes as long as there are many, and is done once for each Snapshot and lateness.
    `proxied` is whether passes ask for the proxied variant."""
    ledger = snapshot.state.ledger
    late, expired, until = set(), set(), float("inf")
    for question, known in snapshot.state.records.items():
        if isinstance(known, Record) and known.content.bindings and snapshot.grade(question, now) == "expired":
            expired.add(question)
        patience = _patience(question, known, snapshot.terms, proxied)
        if patience is None or question in ledger.held or question in ledger.absent:
            continue
        at = snapshot.confirmed_at(question)
        if at is not None and now - at >= patience:
            late.add(question)
        elif at is not None:
            until = min(until, at + patience)
    return Seen(snapshot, now, until, frozenset(late), frozenset(expired))


def _patience(question: Question, known: Known, terms: Terms, proxied: bool) -> float | None:
    """How old an answer may get before passes are late with it, in seconds; None if they don't ask for it by itself."""
    often, seldom = terms.longest * _LATE, (terms.seldom + terms.longest) * _LATE
    match question, known:
        case ((Organizations() | Policy()), Record()):
            return often
        case Roster(proxied=variant), Record():
            return often if proxied or not variant else None
        case Block(version=version), Record():
            return seldom if version == LATEST else None
        case Assistant(scope, variant, slug), Record(source=source) if source == question and (proxied or not variant):
            return seldom if is_default(GetAssistant(scope, variant, slug)) else often
    return None


class Observer:
    """Tells a service's events of what its Sync does, and keeps count of it. Lives as long as the Sync."""

    def __init__(self, service: Service, sync: Sync) -> None:
        self._service, self._sync = service, sync
        self._seen = self._seen_in(sync.snapshot)
        sync.on_settled.append(self._understand)
        sync.on_judged.append(self._judged)
        service.on_login.append(self._see)
        service.look = self.look
        self._see()

    def look(self) -> None:
        """What only time has changed: called by the heartbeat."""
        snapshot, now = self._sync.snapshot, self._service.clock()
        if snapshot is not self._seen.snapshot or not self._seen.at <= now < self._seen.until:
            self._take(self._seen_in(snapshot))
        self._see()

    # Within

    def _seen_in(self, snapshot: Snapshot) -> Seen:
        return seen(snapshot, self._service.clock(), proxied=self._sync.plan.proxied != "never")

    def _take(self, now: Seen) -> None:
        """Tell of what was not so when it was last looked at."""
        before, self._seen = self._seen, now
        names = names_by_id(now.snapshot.organizations())
        newly = now.late - before.late
        notices = {
            Notice("stale", _named(question, names), getattr(question, "scope", None))
            for question in newly
            if not isinstance(question, Block)
        }
        if packages := sum(isinstance(question, Block) for question in newly):
            notices.add(Notice("stale", "packages", None, f"{packages} of them"))
        for notice in sorted(_once(notices), key=lambda notice: (notice.scope or "", notice.what)):
            self._tell(notice)
        if more := now.expired - before.expired:
            self._tell(Notice("expired", detail=f"in {len(more)} answers"))

    def _tell(self, notice: Notice) -> None:
        self._service.events.tell(notice.kind, what=notice.what, scope=notice.scope, detail=notice.detail)

    def _understand(self, before: State, after: Snapshot, changes: tuple[Change, ...]) -> Tell:
        """In a thread, for a change that is being settled."""
        notices = noticed(before, after.state, changes)
        now = self._seen_in(after)

        def tell() -> None:
            for notice in notices:
                self._tell(notice)
            self._take(now)
            self._see()

        return tell

    def _judged(self, report: PassReport, summary: Summary) -> None:
        service = self._service
        for operation, outcome in report.outcomes:
            service.tally.outcomes[name_of_operation(operation), type(outcome).__name__.lower()] += 1
        if report.whole:
            service.tally.passes["answered" if summary.of_account else "failed"] += 1
            service.tally.recent.append(
                Passed(
                    service.clock(), summary.took, summary.asked, summary.answered, summary.of_account,
                    summary.added, summary.changed, summary.withdrawn, summary.held,
                )
            )  # fmt: skip
            detail = (
                f"{summary.answered} of {summary.asked} answered, {summary.added} added, {summary.changed} changed, "
                f"{summary.withdrawn} withdrawn"
            )
            self._tell(Notice("pass", detail=detail))

    def _see(self) -> None:
        see(self._service)
