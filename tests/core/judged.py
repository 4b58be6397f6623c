"""An account under passes, and the words to tell it what the Hub said; for the tests of the judgement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from hublet.core import operations as ops
from hublet.core import questions as q
from hublet.core.judgement import judge
from hublet.core.ledger import Ledger, ledger_from_plain, ledger_to_plain
from hublet.core.outcomes import Answered, Malformed, Outcome, PassReport, Refused, Throttled, Unreachable
from hublet.core.quarantine import accept
from hublet.core.questions import Assistant, Organizations, Policy, Roster, Scope, Slug
from hublet.core.records import Content, Fact, Hole, Record, Template, Withdrawn
from hublet.core.state import Put, State, Verdict, apply, confirmed_at, members

START = 1_750_000_000.0

INTERVAL = 900.0

Told = tuple[ops.Operation, Outcome]


def content(version: object = 1, *, trouble: str | None = None, icon: str | None = None) -> Content:
    text = orjson.dumps({"v": version})
    holes = (Hole(1, "icon", icon),) if icon else ()
    return Content(Template(text, holes), {}, {"trouble": trouble} if trouble else {})


def slug(name: str) -> Slug:
    return Slug("o", name)


def asst(name: str, scope: Scope = None) -> Assistant:
    return Assistant(scope, False, slug(name))


def listing(*names: str, scope: Scope = None, **contents: Content) -> Told:
    """The answer to a list; `contents` gives the contents of assistants that are not the usual ones."""
    facts = [Fact(asst(name, scope), contents.get(name, content())) for name in names]
    roster = Content(Template(orjson.dumps([["o", name] for name in names])))
    return ops.ListAssistants(scope), Answered((*facts, Fact(Roster(scope, False), roster)))


def directly(name: str, says: Content, scope: Scope = None) -> Told:
    return ops.GetAssistant(scope, False, slug(name)), Answered((Fact(asst(name, scope), says),))


def orgs(*ids: str) -> Told:
    value = {"organizations": [{"id": id_, "name": id_.upper(), "slug": id_} for id_ in ids]}
    return ops.ListOrganizations(), Answered((Fact(Organizations(), Content(Template(orjson.dumps(value)))),))


def policy(value: dict[str, object] | None, slug: str | None = "acme") -> Told:
    text = orjson.dumps({"policy": value, "orgSlug": slug if value is not None else None})
    return ops.GetPolicy(), Answered((Fact(Policy(), Content(Template(text))),))


def trial() -> Told:
    return ops.GetFreeTrialStatus(), Answered((Fact(q.FreeTrial(), Content(Template(b"{}"))),))


def block(version: int = 1) -> Told:
    return ops.GetBlock(slug("b"), "latest"), Answered((Fact(q.Block(slug("b"), "latest"), content(version)),))


@dataclass
class Account:
    """A state and the passes over it. Every pass is checked for what must hold of each pass."""

    now: float = START
    state: State = field(default_factory=State)

    def pass_(self, *told: Told, after: float = INTERVAL, whole: bool = True, icons: tuple[Fact, ...] = ()) -> Verdict:
        self.now += after
        report = PassReport(told, icons, whole)
        verdict = judge(self.state, report, self.now, interval=INTERVAL)
        assert judge(self.state, report, self.now, interval=INTERVAL) == verdict, "judging is not deterministic"
        self.settle(verdict)
        return verdict

    def settle(self, verdict: Verdict) -> None:
        before = self.state
        questions = [change.question for change in verdict.changes]
        assert len(set(questions)) == len(questions), "a Question is changed twice"
        self.state = apply(self.state, verdict)
        assert ledger_from_plain(orjson.loads(orjson.dumps(ledger_to_plain(self.state.ledger)))) == self.state.ledger
        for change in verdict.changes:
            if isinstance(change, Put):
                assert before.records.get(change.question) != change.known, "a change that changes nothing"

    def accept(self, question: q.Question) -> Verdict:
        verdict = accept(self.state, question, self.now)
        self.settle(verdict)
        return verdict

    def names(self, scope: Scope = None) -> list[str]:
        """The assistants that a client sees in a list, in order."""
        listed = members(self.state.records.get(Roster(scope, False)))
        return [s.package for s in listed if isinstance(self.state.records.get(Assistant(scope, False, s)), Record)]

    def text(self, question: q.Question) -> Any:
        known = self.state.records[question]
        assert isinstance(known, Record)
        return orjson.loads(known.content.template.text)

    def withdrawn(self, question: q.Question) -> tuple[int, str] | None:
        known = self.state.records.get(question)
        return (known.status, known.message) if isinstance(known, Withdrawn) else None

    def trouble(self, question: q.Question) -> str | None:
        found = self.state.ledger.troubles.get(question)
        return found.kind if found else None

    def age(self, question: q.Question) -> float:
        at = confirmed_at(self.state, question)
        assert at is not None
        return self.now - at

    @property
    def ledger(self) -> Ledger:
        return self.state.ledger


def many(count: int) -> list[str]:
    return [f"a{n:02d}" for n in range(count)]


bad: list[Outcome] = [
    Malformed("HTML"),
    Unreachable("timeout"),
    Throttled(None),
    Throttled(60),
    Refused(401, "Unauthorized"),
    Refused(404, "User not found"),
    Refused(404, "Organization not found"),
]

no = Refused(401, "Unauthorized")

all_401: tuple[Told, ...] = ((ops.ListAssistants(None), no), (ops.GetPolicy(), no), (ops.ListOrganizations(), no))
