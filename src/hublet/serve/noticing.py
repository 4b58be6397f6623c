"""Which events follow from a change: two states go in, notices come out. And the observer that tells them.

The observer has no timer of its own: it is called when a change is settled, a pass is judged, somebody logs in, and by
the heartbeat.
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
from hublet.core.telling import Kind
from hublet.passes.settling import Tell
from hublet.passes.sync import Sync
from hublet.serve.auditing import name_of_operation
from hublet.serve.service import Service
from hublet.serve.status import see
from hublet.serve.tally import Passed

if TYPE_CHECKING:
    from hublet.passes.summary import Summary

_LATE = 1.25
"""A record is late when it is older than the longest time between two passes times this: a tenth of that time is left
to chance, and a pass takes a while."""


class Notice(NamedTuple):
    """An event that has not been told yet."""

    kind: Kind
    what: str = ""
    scope: Scope = None
    detail: str = ""


def noticed(before: State, after: State, changes: tuple[Change, ...]) -> tuple[Notice, ...]:
    """The events that follow from a change; each thing once, though it may be kept in two variants."""
    names = names_by_id(organizations(before.records.get(Organizations())))
    names |= names_by_id(organizations(after.records.get(Organizations())))
    return _once([*_changed(before, after, changes, names), *_of_the_ledger(before.ledger, after.ledger, names)])


def _once(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """The notices, without repetitions and without those on a proxied list that say the same as one on the list."""
    found = dict.fromkeys(notices)
    return tuple(
        notice
        for notice in found
        if not notice.what.endswith(PROXIED) or notice._replace(what=notice.what.removesuffix(PROXIED)) not in found
    )


def _named(question: Question, names: Mapping[str, str]) -> str:
    """A Question's name in an event, where no secret is named."""
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
    """Whether only the order is another: assistants that came or went have events of their own."""
    was, now = members(old), members(new)
    return was != now and set(was) == set(now)


def _how(old: Known | None, new: Record) -> str | None:
    """How a record differs from the one before, in words; None when its content is the same."""
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
    """How the records of a Snapshot stood at a moment (`at`). It is true until `until`, if no other Snapshot comes.

    `late` should have been confirmed by now: passes ask for these Questions by themselves, and they are older than the
    time between passes explains. Those that are held or missing are not among them, since other events tell of that.
    `expired` are those whose secret values are no longer served, because the Hub has not confirmed them for too long.
    """

    snapshot: Snapshot
    at: float
    until: float
    late: frozenset[Question]
    expired: frozenset[Question]


def seen(snapshot: Snapshot, now: float, *, proxied: bool = True) -> Seen:
    """Look at every record. It takes longer the more there are, so it is done only for a new Snapshot, or when `until`
    has come. `proxied` says whether passes ask for proxied variants, too."""
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
    """How many seconds old a record may get before it is late; None where passes don't ask for it by itself."""
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
    """Tells a service's events what its Sync does, and counts it in the tally. Lives as long as the Sync."""

    def __init__(self, service: Service, sync: Sync) -> None:
        self._service, self._sync = service, sync
        self._seen = self._seen_in(sync.snapshot)
        sync.on_settled.append(self._understand)
        sync.on_judged.append(self._judged)
        service.on_login.append(self._see)
        service.look = self.look
        self._see()

    def look(self) -> None:
        """Tell what time alone has changed. Called by the heartbeat."""
        snapshot, now = self._sync.snapshot, self._service.clock()
        if snapshot is not self._seen.snapshot or not self._seen.at <= now < self._seen.until:
            self._take(self._seen_in(snapshot))
        self._see()

    # Within

    def _seen_in(self, snapshot: Snapshot) -> Seen:
        return seen(snapshot, self._service.clock(), proxied=self._sync.plan.proxied != "never")

    def _take(self, now: Seen) -> None:
        """Tell what is late or expired now and was not at the last look."""
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
        """Find the events of a change that is being settled, in its thread; gives what tells them afterwards, in the
        event loop."""
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
