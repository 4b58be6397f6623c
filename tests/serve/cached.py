"""What a cache holds after a pass over the demo Hub, made without a pass."""

from __future__ import annotations

from typing import Any

from hublet.core import operations as ops
from hublet.core.ledger import Ledger
from hublet.core.questions import Fqsn, Slug
from hublet.core.records import Record
from hublet.core.split import split
from hublet.core.state import Change, State
from hublet.demo.data import ACME, DEMO_KEY
from hublet.demo.hub import Hub

NOW = 1_000_000.0
DAY = 86400.0


class NoArchive:
    def save(self, changes: tuple[Change, ...], ledger: Ledger, *_: object, **__: object) -> None:
        """Nothing is kept."""

    def tidy(self) -> None:
        """Nothing is to be tidied."""


def hub_state(confirmed: float = NOW) -> State:
    """The demo Hub's personal assistants with their secrets, as a pass would have left them at that time."""
    hub = Hub("http://127.0.0.1:9/v1")
    records: dict[Any, Any] = {}

    def ask(operation: ops.Operation) -> Any:
        call = ops.write(operation)
        reply = hub.respond(call.method, call.target, {"authorization": f"Bearer {DEMO_KEY}"}, call.body or b"")
        harvest = split(operation, reply.json(), mark="@mark:0123456789abcdef:")
        records.update({fact.question: Record(fact.content, fact.question, confirmed) for fact in harvest.facts})
        return harvest

    names = [*ask(ops.ListAssistants(None)).secrets, Fqsn((Slug("a", "b"), Slug("acme", "house-model")), "HOUSE_KEY")]
    ask(ops.SyncSecrets.of(None, tuple(names)))
    ask(ops.SyncSecrets.of(ACME, (Fqsn((Slug("acme", "x"),), "ACME_OPENAI_KEY"),)))
    return State(records, Ledger())
