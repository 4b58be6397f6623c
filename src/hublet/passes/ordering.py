"""Making the order for a whole pass from what is known. It is a pure function, called in a thread, since it takes
longer the more is known."""

from __future__ import annotations

from hublet.core import operations as ops
from hublet.core.lifetimes import is_due, rested, resting_packages, seldom_due
from hublet.core.questions import Assistant, Icon, Organizations, Roster, Secret
from hublet.core.records import Record
from hublet.core.snapshot import Terms
from hublet.core.state import State, members, organizations
from hublet.passes.plan import Plan
from hublet.upstream.order import WorkOrder, fixed_blocks

_PASSES_IN_TIME = 2.5
"""What hardly changes is left out of passes only while it has this many of the longest times between passes left before
it expires: one for a pass that brings nothing, one for the pass after it, and some more since each may be a tenth
late."""


def rests_for(plan: Plan, terms: Terms) -> float:
    """For how many seconds passes leave out what hardly changes. It must not expire before a later pass asks for it, so
    nothing is left out where secret values are good for a few hours only. Nor is anything left out of a folder: that
    costs no request, and a pass begins when a file has changed."""
    if plan.hub.folder is not None:
        return 0.0
    return max(0.0, min(terms.seldom, terms.max_stale - _PASSES_IN_TIME * terms.longest))


def order_of(state: State, plan: Plan, now: float, *, seldom: float) -> WorkOrder:
    """The order for a whole pass: to ask again for all that is known, except for what need not be asked yet. `seldom`
    is how many seconds old that may be; with 0 everything is asked for."""
    records = state.records
    rosters = {question for question in records if isinstance(question, Roster)}
    listed = {Assistant(roster.scope, roster.proxied, slug) for roster in rosters for slug in members(records[roster])}
    wanted = plan.proxied != "never"
    direct: list[ops.Operation] = [
        ops.GetAssistant(question.scope, question.proxied, question.slug)
        for question, known in records.items()
        if isinstance(question, Assistant) and isinstance(known, Record) and question not in listed
        if wanted or not question.proxied
    ]
    direct += seldom_due(state, now, seldom=seldom)
    if plan.hub.folder is not None:
        direct += resting_packages(state)
    scopes = dict.fromkeys(id_ for id_, _, _ in organizations(records.get(Organizations())))
    scopes |= dict.fromkeys(roster.scope for roster in rosters if roster.scope is not None)
    return WorkOrder(
        hub=plan.hub,
        ask=tuple(direct),
        scopes=tuple(scopes),
        proxied=frozenset(roster.scope for roster in rosters if roster.proxied and wanted),
        every_proxied=plan.proxied == "always",
        secrets=tuple(
            (question.scope, question.fqsn)
            for question in records
            if isinstance(question, Secret) and is_due(state, question, now, seldom=seldom)
        ),
        rested=rested(state, now, scopes=scopes, seldom=seldom),
        blocks=tuple(fixed_blocks(records)) if plan.hub.folder is None else (),
        icons=frozenset(question.url for question in records if isinstance(question, Icon)),
    )
