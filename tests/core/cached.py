"""A cache that was told what the demo Hub says, and how its answers are read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from hublet.core import operations as ops
from hublet.core import questions as q
from hublet.core.judgement import judge
from hublet.core.outcomes import Answered, Outcome, PassReport, Refused
from hublet.core.records import Fact
from hublet.core.snapshot import Answer, Snapshot, Terms
from hublet.core.split import split
from hublet.core.state import State, apply
from hublet.demo.data import ACME, DEMO_KEY, USER_SECRETS
from hublet.demo.hub import Hub

START = 1_750_000_000.0
INTERVAL, DAY, WEEK = 900.0, 86400.0, 7 * 86400.0
TERMS = Terms(lambda url: f"http://localhost:3001/icons/{len(url):032x}", b"k" * 32, INTERVAL, INTERVAL, DAY, WEEK)
NIGHT_OWL = q.Slug("dana", "night-owl")
PIN, NONE = q.Fqsn((), "PIN"), q.Fqsn((q.Slug("a", "b"),), "NOT_ANYWHERE")
CANARIES = [value for name, value in USER_SECRETS.items() if name != "PIN"]


@dataclass
class Cache:
    """A cache, and the demo Hub that it asks."""

    hub: Hub = field(default_factory=lambda: Hub("http://127.0.0.1:9/v1"))
    state: State = field(default_factory=State)
    now: float = START
    snapshot: Snapshot | None = None

    def outcome(self, operation: ops.Operation) -> Outcome:
        call = ops.write(operation)
        reply = self.hub.respond(call.method, call.target, {"authorization": f"Bearer {DEMO_KEY}"}, call.body or b"")
        value: Any = reply.json()
        if reply.status != 200:
            return Refused(reply.status, value["message"])
        return Answered(split(operation, value, mark="@mark:").facts)

    def ask(self, *operations: ops.Operation, after: float = 0.0, icons: tuple[Fact, ...] = ()) -> Snapshot:
        self.now += after
        report = PassReport(tuple((operation, self.outcome(operation)) for operation in operations), icons)
        self.state = apply(self.state, judge(self.state, report, self.now, interval=INTERVAL))
        return self.publish()

    def publish(self, terms: Terms = TERMS, **ledger: Any) -> Snapshot:
        if ledger:
            self.state = State(self.state.records, replace(self.state.ledger, **ledger))
        self.snapshot = Snapshot(self.state, terms, self.now, self.snapshot)
        return self.snapshot


LISTS = (ops.ListAssistants(None), ops.ListAssistants(ACME), ops.ListOrganizations(), ops.GetPolicy())


def told() -> Cache:
    """A cache after its first pass."""
    made = Cache()
    made.ask(*LISTS)
    return made


def answer(snapshot: Snapshot | None, operation: ops.Operation, *, clear: bool = True) -> Answer:
    assert snapshot is not None
    found = snapshot.answer(operation, clear=clear)
    assert isinstance(found, Answer)
    return found


def value(found: Answer) -> Any:
    return orjson.loads(found.body)


def sync(*names: q.Fqsn, scope: str | None = None, slug: str | None = None) -> ops.SyncSecrets:
    return ops.SyncSecrets(scope, slug, ops.SyncSecrets.of(scope, names).asked)
