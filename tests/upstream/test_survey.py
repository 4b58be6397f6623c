"""What a pass asks, and when it stops asking."""

from __future__ import annotations

import asyncio

from hublet.core import operations as ops
from hublet.core.outcomes import Outcome, Refused, Unreachable
from hublet.core.records import Content
from hublet.core.secretstr import SecretStr
from hublet.upstream.http import Said
from hublet.upstream.order import Hub, Told, Word, WorkOrder
from hublet.upstream.survey import survey

ORDER = WorkOrder(Hub("http://localhost:1", SecretStr("con_x")), scopes=("org_1",))
FIRST = {ops.ListOrganizations(), ops.GetPolicy(), ops.GetFreeTrialStatus(), ops.GetAuthScope()}


class Answering:
    """An upstream that answers everything with one outcome, except for the Operations in `but`."""

    def __init__(self, outcome: Outcome, but: dict[ops.Operation, Outcome | Said] | None = None) -> None:
        self.outcome, self.but = outcome, but or {}
        self.asked: list[ops.Operation] = []

    async def ask(self, operation: ops.Operation) -> Outcome | Said:
        self.asked.append(operation)
        return self.but.get(operation, self.outcome)

    async def fetch_icon(self, address: str) -> Content | None:
        raise AssertionError(f"no icon was named: {address}")


def surveyed(upstream: Answering) -> dict[ops.Operation, Outcome]:
    words: list[Word] = []
    asyncio.run(survey(ORDER, upstream, words.append))
    return {word.operation: word.outcome for word in words if isinstance(word, Told)}


def test_where_nobody_is_nothing_more_is_asked() -> None:
    """Each further question would wait as long in vain. The list of every scope counts as unreachable."""
    away = Unreachable("connecting timed out")
    upstream = Answering(away)
    told = surveyed(upstream)
    assert set(upstream.asked) == FIRST
    assert told == dict.fromkeys(FIRST | {ops.ListAssistants(None, False), ops.ListAssistants("org_1", False)}, away)


def test_one_answer_is_enough_to_go_on() -> None:
    """A part that fails stops no other: a Hub that refuses one thing may answer the rest."""
    upstream = Answering(Unreachable("the Hub answered 500"), {ops.GetPolicy(): Refused(404, "User not found")})
    told = surveyed(upstream)
    assert {ops.ListAssistants(None, False), ops.ListAssistants("org_1", False)} <= set(upstream.asked)
    assert told.keys() == set(upstream.asked)
