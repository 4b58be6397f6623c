"""What follows from a pass: pure, and the only place that decides what is kept, replaced, withdrawn, held or locked.

`judge` sees a whole pass and the whole state, because an empty list, a lost organization, a 401 or the Hub's end can't
be judged one record at a time. The rule everywhere: a good answer is never lost to a bad one, a bad one is never passed
off as good, and what only looks like an answer (HTML, another shape, an error) says nothing about the world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

import orjson

from hublet.core import operations as ops
from hublet.core.endpoints import differences
from hublet.core.ledger import Held, Ledger, Lock, Moved, Trouble, TroubleKind
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
from hublet.core.pace import LONGEST_WAIT
from hublet.core.quarantine import NOT_FOUND, roster_content
from hublet.core.questions import Assistant, Icon, Organizations, Proposed, Question, Roster, Secret, Slug
from hublet.core.records import Content, Fact, Record, Template, Withdrawn
from hublet.core.state import Change, Drop, Put, State, Verdict, apply, confirmed_at, members, organizations

RELOCK_AFTER = 600.0
"""Two passes of 401 this many seconds apart lock the cache."""
_TOLD_FOR = 7 * 86400.0
"""For how long it is remembered that an assistant's endpoints have changed, in seconds."""


def judge(state: State, report: PassReport, now: float, *, interval: float, hold_commands: bool = False) -> Verdict:
    """Decide a pass. `now` is our wall clock, `interval` the time between passes, both in seconds. With `hold_commands`
    an assistant that changes what it runs or where it sends things waits for the user."""
    return _Judgement(state, report, now, interval, hold_commands).verdict()


def merged(old: tuple[Slug, ...], new: tuple[Slug, ...], keep: frozenset[Slug]) -> tuple[Slug, ...]:
    """The new order, with those of the old to be kept each behind the one it stood behind."""
    result = list(new)
    for index, slug in enumerate(old):
        if slug in keep:
            before = next((s for s in reversed(old[:index]) if s in result), None)
            result.insert(result.index(before) + 1 if before is not None else 0, slug)
    return tuple(result)


def restrictions(policy: Mapping[str, object] | None) -> dict[str, object]:
    """What a policy forbids: every key that is not plainly `true`. An unknown key counts as a restriction."""
    return {key: value for key, value in (policy or {}).items() if value is not True}


class _Judgement:
    """One judging: the ledger under change, and the changes so far. Lives for one call of `judge`."""

    def __init__(self, state: State, report: PassReport, now: float, interval: float, hold_commands: bool) -> None:
        self.state, self.report, self.now, self.interval = state, report, now, interval
        self.hold_commands = hold_commands
        self.changes: dict[Question, Change] = {}
        self.listed: set[Question] = set()
        ledger = state.ledger
        self.confirmed = dict(ledger.confirmed)
        self.troubles = dict(ledger.troubles)
        self.absent = dict(ledger.absent)
        self.held = dict(ledger.held)
        self.looser = ledger.looser
        self.moved = {question: moved for question, moved in ledger.moved.items() if now - moved.at < _TOLD_FOR}

    def verdict(self) -> Verdict:
        self._organizations_first()
        for operation, outcome in self.report.outcomes:
            match outcome:
                case Answered(facts):
                    self._answered(operation, facts)
                case NotModified():
                    self._confirm(root(operation))
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
        if self.report.whole and self._all_answered():
            self._drop_unseen()
        return Verdict(tuple(self.changes.values()), self._ledger())

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
                    self.absent.pop(fact.question, None)
                    self._put(fact.question, fact.content, fact.question)
                    self._confirm(fact.question)

    def _asked(self, fact: Fact) -> None:
        """An assistant asked for directly. One that is in a list stays its roster's, and only the list can say that it
        is there again when the list did not name it."""
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
        new = tuple(Slug(o, p) for fact in facts if fact.question == roster for o, p in _rows(fact.content))
        old = members(self.state.records.get(roster))
        missing = [slug for slug in old if slug not in by_slug]
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
        """Which of those that the list no longer names are kept all the same."""
        self.held.pop(roster, None)
        if not missing:
            return frozenset()
        if len(missing) == len(old) or len(missing) > max(2, len(old) // 5):
            since = self.state.ledger.held.get(roster, Held((), self.now)).since
            self.held[roster] = Held(tuple(str(slug) for slug in missing), since)
            self._note(roster, "held", f"{len(missing)} of {len(old)} assistants missing: quarantined")
            return frozenset(missing)
        keep = set()
        for slug in missing:
            question = Assistant(roster.scope, roster.proxied, slug)
            if self._withdraw(question, 404, NOT_FOUND):
                continue
            keep.add(slug)
            self._note(roster, "missing", f"{len(keep)} of {len(old)} assistants missing: waiting for a second pass")
        return frozenset(keep)

    def _withdraw(self, question: Question, status: int, message: str) -> bool:
        """The second pass that says so withdraws; the first is remembered (from now on, if the clock was set back)."""
        first = self.absent.get(question)
        if first is None or first >= self.now:
            self.absent[question] = self.now
            return False
        self.absent.pop(question)
        self.troubles.pop(question, None)
        self._drop_proposed(question)
        self.confirmed[question] = self.now
        self.changes[question] = Put(question, Withdrawn(status, message, self.now), "withdrawn")
        return True

    def _assistant(self, fact: Fact, source: Question) -> bool:
        """Whether the Hub's word was taken."""
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
        """What an assistant changes of what it runs and where it sends things. Where nothing was known of a list (or of
        an assistant that is in none) there is nothing to compare with: what is first said is believed."""
        known = self.state.records.get(fact.question)
        question = fact.question
        assert isinstance(question, Assistant)
        if isinstance(known, Record):
            return tuple(str(difference) for difference in differences(known.content, fact.content))
        roster = Roster(question.scope, question.proxied)
        listed = roster in self.state.records and (question in self.listed or self._in_roster(question))
        return tuple(str(difference) for difference in differences(None, fact.content)) if listed else ()

    def _propose(self, fact: Fact, source: Question, changes: tuple[str, ...]) -> None:
        assert isinstance(fact.question, Assistant)
        since = self.state.ledger.held.get(fact.question, Held((), self.now)).since
        self.held[fact.question] = Held((), since, changes)
        self._put(Proposed.of(fact.question), fact.content, source)
        self._freeze(fact.question)
        self._note(fact.question, "held", "changes what it runs or where it sends things: quarantined")

    def _drop_proposed(self, question: Question) -> None:
        if isinstance(question, Assistant) and self.held.pop(question, None) is not None:
            self.changes.pop(Proposed.of(question), None)
            if Proposed.of(question) in self.state.records:
                self.changes[Proposed.of(question)] = Drop(Proposed.of(question))

    def _freeze(self, question: Question) -> None:
        """Keep a listed record, but let it age: its list goes on being confirmed, it does not."""
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
                self.changes[question] = Put(question, Withdrawn(status, message, self.now), "added")
            self.confirmed[question] = self.now
        elif any(knows_account(*other) for other in self.report.outcomes) and not self._in_quarantine(question):
            self._withdraw(question, status, message)

    def _in_quarantine(self, question: Question) -> bool:
        held = self.held.get(Organizations())
        return held is not None and getattr(question, "scope", None) in held.gone

    # The account

    def _organizations_first(self) -> None:
        """Whether organizations are gone decides whether a looser policy may be believed in the same pass."""
        for operation, outcome in self.report.outcomes:
            if not isinstance(operation, ops.ListOrganizations) or not isinstance(outcome, Answered):
                continue
            for fact in outcome.facts:
                self.held.pop(fact.question, None)
                old = organizations(self.state.records.get(fact.question))
                new = {id_ for id_, _, _ in organizations(Record(fact.content, fact.question, self.now))}
                gone = tuple(id_ for id_, _, _ in old if id_ not in new)
                if gone:
                    since = self.state.ledger.held.get(fact.question, Held((), self.now)).since
                    self.held[fact.question] = Held(gone, since)
                    self._note(fact.question, "held", f"{len(gone)} of {len(old)} organizations gone: quarantined")
                else:
                    self._put(fact.question, fact.content, fact.question)
                    self._confirm(fact.question)

    def _policy(self, fact: Fact) -> None:
        known = self.state.records.get(fact.question)
        if not isinstance(known, Record):
            self._put(fact.question, fact.content, fact.question)
            self._confirm(fact.question)
            return
        old, new = orjson.loads(known.content.template.text), orjson.loads(fact.content.template.text)
        kept = restrictions(old.get("policy"))
        policy = new.get("policy") or {}
        weakened = {key: value for key, value in kept.items() if policy.get(key, True) != value}
        if not weakened:
            self.looser = None
            self._put(fact.question, fact.content, fact.question)
            self._confirm(fact.question)
            return
        text = fact.content.template.text.decode()
        if self.looser is None or self.looser[0] != text or self.looser[1] > self.now:
            self.looser = (text, self.now)
        if self.now - self.looser[1] >= self.interval and Organizations() not in self.held:
            self.looser = None
            self._put(fact.question, fact.content, fact.question)
            self._confirm(fact.question)
            return
        # What is stricter counts at once, what is looser waits: both together are served.
        both = {**new, "policy": {**policy, **weakened}, "orgSlug": new.get("orgSlug") or old.get("orgSlug")}
        if restrictions(both["policy"]) != kept:
            self._put(fact.question, Content(Template(orjson.dumps(both))), fact.question)
        self._note(fact.question, "looser", "the Hub sends a weaker policy: waiting until it is said again")

    def _ledger(self) -> Ledger:
        old, outcomes = self.state.ledger, [outcome for _, outcome in self.report.outcomes]
        reached = any(isinstance(outcome, Answered | NotModified | Refused) for outcome in outcomes)
        waits = [outcome.retry_after for outcome in outcomes if isinstance(outcome, Throttled)]
        not_before = old.not_before
        for wait in waits:
            if wait is not None:
                not_before = max(not_before, self.now + min(wait, LONGEST_WAIT))
        ledger = replace(
            old,
            confirmed=self.confirmed,
            troubles=self.troubles,
            absent=self.absent,
            held=self.held,
            looser=self.looser,
            moved=self.moved,
            not_before=not_before,
        )
        if not self.report.whole:
            return ledger
        answered = any(knows_account(*told) for told in self.report.outcomes)
        return replace(
            self._locked(ledger, answered=answered),
            failures=0 if reached else old.failures + 1,
            last_pass=self.now,
            last_success=self.now if answered else old.last_success,
        )

    def _locked(self, ledger: Ledger, *, answered: bool) -> Ledger:
        """401 on at least two operations, in two passes at least RELOCK_AFTER apart, with no answer between.

        A lock for that reason ends when the Hub takes the key again; one that the user asked for does not.
        """
        if answered:
            lock = None if ledger.lock is not None and ledger.lock.why == "refused" else ledger.lock
            return replace(ledger, refused_at=None, lock=lock)
        unauthorized = sum(isinstance(o, Refused) and o.status == 401 for _, o in self.report.outcomes)
        if unauthorized < 2:
            return ledger
        if ledger.refused_at is None or ledger.refused_at > self.now:
            return replace(ledger, refused_at=self.now)
        if ledger.lock is None and self.now - ledger.refused_at >= RELOCK_AFTER:
            return replace(ledger, lock=Lock("refused", self.now))
        return ledger

    # Bookkeeping

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
        for question in roots(operation):
            if question in self.state.records or not isinstance(question, Secret):
                self._note(question, kind, detail)

    def _note(self, question: Question, kind: TroubleKind, detail: str) -> None:
        before = self.state.ledger.troubles.get(question)
        since = before.since if before is not None and before.kind == kind else self.now
        self.troubles[question] = Trouble(kind, detail, since, self.now)

    def _all_answered(self) -> bool:
        return all(is_answer(operation, outcome) for operation, outcome in self.report.outcomes)

    def _drop_unseen(self) -> None:
        """Icons that nothing shows any more, after a pass that saw everything."""
        state = apply(self.state, Verdict(tuple(self.changes.values()), self.state.ledger))
        shown = {
            hole.name
            for known in state.records.values()
            if isinstance(known, Record)
            for hole in known.content.template.holes
            if hole.kind == "icon"
        }
        for question in state.records:
            if isinstance(question, Icon) and question.url not in shown:
                self.changes[question] = Drop(question)


def _rows(content: Content) -> list[tuple[str, str]]:
    return [(owner, package) for owner, package in orjson.loads(content.template.text)]
