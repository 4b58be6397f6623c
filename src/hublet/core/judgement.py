"""Deciding what follows from a pass: what is kept, replaced, withdrawn, held in quarantine, and whether to lock.

`judge` is a pure function of a whole pass and the whole state: an empty list, a lost organization, a 401 or the Hub's
end can't be judged one record at a time. Three rules hold everywhere. A bad answer never replaces a good one. A bad
answer is never served as a good one. What only looks like an answer (HTML, another shape, an error) changes no record.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from hublet.core import operations as ops
from hublet.core.bounds import beyond_bounds, icons_not_shown
from hublet.core.confirming import earned, said_again
from hublet.core.endpoints import endpoint_changes
from hublet.core.ledger import Held, Ledger, Moved, Trouble, TroubleKind
from hublet.core.lists import merged, organizations_kept, roster_content, rows
from hublet.core.locations import takes_away
from hublet.core.outcomes import (
    Answered,
    Malformed,
    NotModified,
    PassReport,
    Refused,
    Throttled,
    Unreachable,
    is_answer,
    is_gone,
    knows_account,
    root,
    roots,
)
from hublet.core.policy import weigh
from hublet.core.quarantine import NOT_FOUND, is_same
from hublet.core.questions import Assistant, Everything, Organizations, Proposed, Question, Roster, Secret, Slug
from hublet.core.records import Content, Fact, Record, Withdrawn
from hublet.core.standing import all_refused, is_taken, judge_account
from hublet.core.state import Change, Drop, Put, State, Verdict, apply, confirmed_at, members, organizations

_TOLD_FOR = 7 * 86400.0
"""The seconds for which it is remembered that an assistant's endpoints have changed."""


def judge(state: State, report: PassReport, now: float, *, interval: float, hold_commands: bool = False) -> Verdict:
    """The verdict on a pass. `now` is our wall clock and `interval` the time between passes, both in seconds. With
    `hold_commands` an assistant that changes what it runs or where it sends data is held for the user to accept."""
    return _Judgement(state, report, now, interval, hold_commands).verdict()


class _Judgement:
    """One call of `judge`: the changes so far, and the parts of the ledger as they are changed. `told` is the report as
    the worker gave it; in `report` each 304 that counts is the answer that it confirms."""

    def __init__(self, state: State, report: PassReport, now: float, interval: float, hold_commands: bool) -> None:
        self.state, self.now, self.interval = state, now, interval
        self.told, self.report = report, said_again(state, report)
        self.hold_commands = hold_commands
        self.changes: dict[Question, Change] = {}
        self.listed: set[Question] = set()
        self.renamed: dict[str | None, tuple[str, str]] = {}
        ledger = state.ledger
        # The clock may have been set back: no confirmation may seem younger than a later one.
        self.confirmed = {question: min(at, now) for question, at in ledger.confirmed.items()}
        self.troubles = dict(ledger.troubles)
        self.absent = dict(ledger.absent)
        self.held = dict(ledger.held)
        self.looser = ledger.looser
        self.moved = {question: moved for question, moved in ledger.moved.items() if now - moved.at < _TOLD_FOR}

    def verdict(self) -> Verdict:
        self._organizations_first()
        self._everything()
        for operation, outcome in self.report.outcomes:
            match outcome:
                case Answered(facts):
                    self._answered(operation, facts)
                case NotModified():
                    pass  # what it confirms is no longer kept: the next asking sends no validator
                case Refused(status, message):
                    self._refused(operation, status, message)
                case Throttled(retry_after):
                    self._trouble(operation, "throttled", f"asked to wait {retry_after or 0:.0f} s")
                case Unreachable(reason):
                    self._trouble(operation, "unreachable", reason)
                case Malformed(reason):
                    self._trouble(operation, "malformed", reason)
                case _:
                    assert_never(outcome)
        for fact in self.report.icons:
            self._put(fact.question, fact.content, fact.question)
        if self.report.whole and all(is_answer(*told) for told in self.report.outcomes):
            after = apply(self.state, Verdict(tuple(self.changes.values()), self.state.ledger))
            self.changes |= {icon: Drop(icon) for icon in icons_not_shown(after.records) if icon in self.state.records}
        self._forget_beyond_bounds()
        changes = tuple(self.changes.values())
        validators = earned(self.state, apply(self.state, Verdict(changes, self.state.ledger)), self.told, self.now)
        ledger = replace(self._ledger(), validators=validators)
        return Verdict(changes, judge_account(ledger, self.report, self.now))

    # One reply

    def _answered(self, operation: ops.Operation, facts: tuple[Fact, ...]) -> None:
        match operation:
            case ops.ListAssistants(scope, proxied):
                self._list(Roster(scope, proxied), facts)
            case ops.GetAssistant():
                for fact in facts:
                    self._asked(fact)
            case ops.ListOrganizations():
                pass  # judged before all others
            case ops.GetPolicy():
                for fact in facts:
                    self._policy(fact)
            case _:
                for fact in facts:
                    if not self._loses_secret(fact):
                        self.absent.pop(fact.question, None)
                        self._put(fact.question, fact.content, fact.question)
                        self._confirm(fact.question)

    def _loses_secret(self, fact: Fact) -> bool:
        """Whether an answer takes a secret's value away, and is not believed yet: a second pass has to say it too."""
        known, first = self.state.records.get(fact.question), self.absent.get(fact.question)
        if not isinstance(fact.question, Secret) or not isinstance(known, Record):
            return False
        if not takes_away(known.content, fact.content):
            return False
        if self.report.whole:
            if first is not None and first < self.now:
                return False
            self.absent[fact.question] = self.now
        self._note(fact.question, "missing", "the Hub no longer gives it: waiting for a second pass")
        return True

    def _asked(self, fact: Fact) -> None:
        """An assistant that was asked for directly. If it is in a list it keeps the list as its source; and when the
        list has not named it, only the list can name it again."""
        known = self.state.records.get(fact.question)
        if not self._in_roster(fact.question):
            self.absent.pop(fact.question, None)
        if self._assistant(fact, known.source if isinstance(known, Record) else fact.question):
            self._confirm(fact.question)

    def _in_roster(self, question: Question) -> bool:
        if not isinstance(question, Assistant):
            return False
        return question.slug in members(self.state.records.get(Roster(question.scope, question.proxied)))

    def _list(self, roster: Roster, facts: tuple[Fact, ...]) -> None:
        by_slug = {fact.question.slug: fact for fact in facts if isinstance(fact.question, Assistant)}
        new = tuple(slug for fact in facts if fact.question == roster for slug in rows(fact.content))
        old = members(self.state.records.get(roster))
        missing = [slug for slug in old if slug not in by_slug and not self._is_renamed(roster, slug, new)]
        keep = self._missing(roster, old, missing)
        for slug in keep:
            self._freeze(Assistant(roster.scope, roster.proxied, slug))
        self.listed |= {fact.question for fact in facts}
        for slug in new:
            self.absent.pop(Assistant(roster.scope, roster.proxied, slug), None)
            self._assistant(by_slug[slug], roster)
        self._put(roster, roster_content(merged(old, new, keep)), roster)
        self._confirm(roster, clear=not keep)

    def _missing(self, roster: Roster, old: tuple[Slug, ...], missing: list[Slug]) -> frozenset[Slug]:
        """Those of the `missing` assistants, which the list no longer names, that are kept all the same."""
        before = self.held.pop(roster, None)
        if not missing:
            return frozenset()
        wanted = set(before.gone) if before is not None and before.rejected else set()
        # What the user has rejected to lose is not withdrawn by a second pass either, however few they have become.
        if len(missing) == len(old) or len(missing) > max(2, len(old) // 5) or wanted & {str(slug) for slug in missing}:
            texts = tuple(str(slug) for slug in missing)
            self._hold(roster, texts, f"{len(missing)} of {len(old)} assistants missing: quarantined")
            return frozenset(missing)
        keep = set()
        for slug in missing:
            question = Assistant(roster.scope, roster.proxied, slug)
            if self._withdraw(question, 404, NOT_FOUND):
                continue
            keep.add(slug)
            self._note(roster, "missing", f"{len(keep)} of {len(old)} assistants missing: waiting for a second pass")
        return frozenset(keep)

    def _is_renamed(self, roster: Roster, slug: Slug, new: tuple[Slug, ...]) -> bool:
        """Whether an assistant is in the list under the new name of its organization, which this pass has renamed. Two
        answers say so and nothing is lost, so the old name is withdrawn at once. (Not with `hold_commands`: an
        assistant that is held under its new name would not be served at all.)"""
        was, now = self.renamed.get(roster.scope, ("", ""))
        if self.hold_commands or slug.owner != was or Slug(now, slug.package) not in new:
            return False
        self._take_back(Assistant(roster.scope, roster.proxied, slug), 404, NOT_FOUND)
        return True

    def _withdraw(self, question: Question, status: int, message: str) -> bool:
        """Withdraw a Question if an earlier pass has said the same, and return whether it was; else remember this pass.
        A clock that was set back begins anew. What was asked for clients is no pass and does not count."""
        first = self.absent.get(question)
        if not self.report.whole or first is None or first >= self.now:
            if self.report.whole:
                self.absent[question] = self.now
            return False
        self._take_back(question, status, message)
        return True

    def _take_back(self, question: Question, status: int, message: str) -> None:
        self.absent.pop(question, None)
        self.troubles.pop(question, None)
        self._drop_proposed(question)
        self.confirmed[question] = self.now
        self.changes[question] = Put(question, Withdrawn(status, message, self.now), "withdrawn")

    def _assistant(self, fact: Fact, source: Question) -> bool:
        """Keep what the Hub says of an assistant; return False if it is not kept."""
        known = self.state.records.get(fact.question)
        trouble = fact.content.traits.get("trouble")
        if trouble and isinstance(known, Record) and "trouble" not in known.content.traits:
            self._freeze(fact.question)
            self._note(fact.question, "unsound", f"the Hub sends it with {trouble}: the last good one is kept")
            return False
        changes = self._endpoint_changes(fact)
        if changes and self.hold_commands:
            self._propose(fact, source, changes)
            return False
        if changes:
            self.moved[fact.question] = Moved(changes, self.now)
        self._drop_proposed(fact.question)
        self._put(fact.question, fact.content, source)
        self.troubles.pop(fact.question, None)
        return True

    def _endpoint_changes(self, fact: Fact) -> tuple[str, ...]:
        """What an assistant changes of what it runs and where it sends data, a line for each endpoint. The first list
        of a scope, and the first answer for an assistant in no list, have nothing to compare with and are believed."""
        known = self.state.records.get(fact.question)
        question = fact.question
        assert isinstance(question, Assistant)
        if isinstance(known, Record):
            return tuple(str(change) for change in endpoint_changes(known.content, fact.content))
        roster = Roster(question.scope, question.proxied)
        listed = roster in self.state.records and (question in self.listed or self._in_roster(question))
        return tuple(str(change) for change in endpoint_changes(None, fact.content)) if listed else ()

    def _propose(self, fact: Fact, source: Question, changes: tuple[str, ...]) -> None:
        assert isinstance(fact.question, Assistant)
        proposed = self.state.records.get(Proposed.of(fact.question))
        same = isinstance(proposed, Record) and is_same(proposed.content, fact.content)
        detail = "changes what it runs or where it sends things: quarantined"
        self._hold(fact.question, (), detail, changes=changes, same=same)
        self._put(Proposed.of(fact.question), fact.content, source)
        self._freeze(fact.question)

    def _drop_proposed(self, question: Question) -> None:
        if isinstance(question, Assistant) and self.held.pop(question, None) is not None:
            self.changes.pop(Proposed.of(question), None)
            if Proposed.of(question) in self.state.records:
                self.changes[Proposed.of(question)] = Drop(Proposed.of(question))

    def _freeze(self, question: Question) -> None:
        """Keep a record of a list, but let it age: from now on it is not confirmed with its list any more."""
        known = self.state.records.get(question)
        if isinstance(known, Record) and known.source != question:
            at = confirmed_at(self.state, question)
            self.confirmed[question] = at if at is not None else known.changed_at
            self.changes[question] = Put(question, replace(known, source=question), "moved")

    def _refused(self, operation: ops.Operation, status: int, message: str) -> None:
        self._trouble(operation, "refused", f"{status} {message}")
        if not is_gone(operation, Refused(status, message)):
            return
        question = root(operation)
        known = self.state.records.get(question)
        if known is None or isinstance(known, Withdrawn):
            self.troubles.pop(question, None)
            if known is None or (known.status, known.message) != (status, message):
                served = known is not None and known.served
                self.changes[question] = Put(question, Withdrawn(status, message, self.now, served), "added")
            self.confirmed[question] = self.now
        elif any(knows_account(*other) for other in self.report.outcomes) and not self._in_quarantine(question):
            self._withdraw(question, status, message)

    def _in_quarantine(self, question: Question) -> bool:
        held = self.held.get(Organizations())
        return held is not None and getattr(question, "scope", None) in held.gone

    # The account

    def _organizations_first(self) -> None:
        """Judge organizations before all else: while some are gone, no looser policy is believed."""
        for operation, outcome in self.report.outcomes:
            if not isinstance(operation, ops.ListOrganizations) or not isinstance(outcome, Answered):
                continue
            for fact in outcome.facts:
                self._organizations(fact)

    def _organizations(self, fact: Fact) -> None:
        self.held.pop(fact.question, None)
        known = self.state.records.get(fact.question)
        old = organizations(known)
        new = {id_: slug for id_, slug, _ in organizations(Record(fact.content, fact.question, self.now))}
        self.renamed = {id_: (was, new[id_]) for id_, was, _ in old if id_ in new and new[id_] != was}
        gone = tuple(id_ for id_, _, _ in old if id_ not in new)
        if gone and isinstance(known, Record):
            self._hold(fact.question, gone, f"{len(gone)} of {len(old)} organizations gone: quarantined")
            self._put(fact.question, organizations_kept(known.content, fact.content, gone), fact.question)
        else:
            self._put(fact.question, fact.content, fact.question)
            self._confirm(fact.question)

    def _everything(self) -> None:
        """A Hub that refuses everything of the account may be shutting down: only the user can tell."""
        if is_taken(self.report):
            self.held.pop(Everything(), None)
            self.troubles.pop(Everything(), None)
        elif (said := all_refused(self.report)) and any(isinstance(k, Record) for k in self.state.records.values()):
            self._hold(Everything(), said, "the Hub refuses all that is the account's: quarantined")

    def _policy(self, fact: Fact) -> None:
        known = self.state.records.get(fact.question)
        weighed = None
        if isinstance(known, Record):
            trusted = Organizations() not in self.held
            weighed = weigh(known.content, fact.content, self.looser, self.now, interval=self.interval, trusted=trusted)
            self.looser = weighed.looser
        content = fact.content if weighed is None else weighed.content
        if content is not None:
            self._put(fact.question, content, fact.question)
        if weighed is None or weighed.believed:
            self._confirm(fact.question)
        else:
            self._note(fact.question, "looser", "the Hub sends a weaker policy: waiting until it is said again")

    def _ledger(self) -> Ledger:
        return replace(
            self.state.ledger,
            confirmed=self.confirmed,
            troubles=self.troubles,
            absent=self.absent,
            held=self.held,
            looser=self.looser,
            moved=self.moved,
        )

    # Bookkeeping

    def _hold(
        self,
        question: Question,
        gone: tuple[str, ...],
        detail: str,
        *,
        changes: tuple[str, ...] = (),
        same: bool | None = None,
    ) -> None:
        """Keep what there is until the user accepts the change. A user who has rejected the same before, or a
        larger loss, is not asked again. `same` says whether it is the same; None: compare what is `gone`."""
        before = self.state.ledger.held.get(question)
        if same is None:
            same = before is not None and set(gone) <= set(before.gone)
        rejected = same and before is not None and before.rejected
        since = before.since if before is not None and (same or not before.rejected) else self.now
        self.held[question] = Held(gone, since, changes, rejected)
        if not rejected:
            self._note(question, "held", detail)

    def _put(self, question: Question, content: Content, source: Question) -> None:
        known = self.state.records.get(question)
        match known:
            case Record(content=kept) if kept == content:
                if known.source != source:
                    self.changes[question] = Put(question, replace(known, source=source), "moved")
            case Record():
                self.changes[question] = Put(question, Record(content, source, self.now), "changed")
            case _:
                self.changes[question] = Put(question, Record(content, source, self.now), "added")

    def _confirm(self, question: Question, *, clear: bool = True) -> None:
        self.confirmed[question] = self.now
        if clear:
            self.troubles.pop(question, None)

    def _trouble(self, operation: ops.Operation, kind: TroubleKind, detail: str) -> None:
        # What is not kept gets a trouble only if a whole pass asked for it: clients may ask for any name.
        for question in roots(operation):
            if question in self.state.records or (self.report.whole and not isinstance(question, Secret)):
                self._note(question, kind, detail)

    def _note(self, question: Question, kind: TroubleKind, detail: str) -> None:
        before = self.state.ledger.troubles.get(question)
        since = before.since if before is not None and before.kind == kind else self.now
        self.troubles[question] = Trouble(kind, detail, since, self.now)

    def _forget_beyond_bounds(self) -> None:
        for question in beyond_bounds(self.state.records, self.changes, self.confirmed, whole=self.report.whole):
            self.changes.pop(question, None)
            if question in self.state.records:
                self.changes[question] = Drop(question)
            for remembered in (self.confirmed, self.troubles, self.absent):
                remembered.pop(question, None)
