"""What is in quarantine until a person agrees: shown with what accepting it would change, accepted or rejected.

POST /quarantine/show     {"what": NAME}   the difference, with references in place of secret values
POST /quarantine/accept   {"what": NAME}   the Hub is right: serve what it says
POST /quarantine/reject   {"what": NAME}   keep what is served, until the Hub says something else
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import orjson

from hublet.core.differing import Difference, differences
from hublet.core.errors import HubletError
from hublet.core.ledger import Held
from hublet.core.naming import name_of, names_by_id
from hublet.core.questions import Assistant, Everything, Organizations, Proposed, Question, Roster, Slug
from hublet.core.records import UNNAMED, Content, Record, View, render
from hublet.core.state import State, members, organizations
from hublet.passes.sync import Sync
from hublet.serve.service import Service

log = logging.getLogger("hublet.quarantine")


class Quarantine:
    """The routes below /quarantine. Each raises HubletError."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def show(self, what: str) -> dict[str, object]:
        """What is held under a name, with what accepting it would change."""
        sync = self._service.opened()
        return {"held": [await asyncio.to_thread(_shown, sync, question) for question in _held(sync, what)]}

    async def accept(self, what: str) -> dict[str, object]:
        """The Hub is right: serve what it says."""
        sync = self._service.opened()
        for question in _held(sync, what):
            await sync.accept(question)
            self._service.events.tell("accepted", what=what, scope=getattr(question, "scope", None))
        return {}

    async def reject(self, what: str) -> dict[str, object]:
        """Keep what there is, until the Hub says something else."""
        sync = self._service.opened()
        for question in _held(sync, what):
            await sync.reject(question)
            log.info("what was in quarantine is rejected: what there is, is kept")
        return {}


def _held(sync: Sync, what: str) -> list[Question]:
    """The Questions that are held under a name: an assistant may be held in several scopes, and has one name in all.
    Raises HubletError when nothing is held under it."""
    names = names_by_id(sync.snapshot.organizations())
    named = [question for question in sync.state.ledger.held if name_of(question, names) == what]
    if not named:
        raise HubletError("nothing of that name is in quarantine", hint="see `hublet quarantine --all`")
    return named


def _shown(sync: Sync, question: Question) -> dict[str, object]:
    """One that is held. `gone` names what would no longer be served, `differences` says how an assistant would
    change, `endpoints` what it would run or where it would send to."""
    state = sync.state
    held = state.ledger.held[question]
    return {
        "what": name_of(question, names_by_id(sync.snapshot.organizations())),
        "scope": getattr(question, "scope", None),
        "since": held.since,
        "rejected": held.rejected,
        "says": list(held.gone) if isinstance(question, Everything) else [],
        "gone": list(_gone(state, question, held)),
        "endpoints": list(held.changes),
        "differences": [
            {"section": one.section, "name": one.name, "how": one.how, "lines": list(one.lines)}
            for one in _differences(state, question)
        ],
    }


def _gone(state: State, question: Question, held: Held) -> Iterator[str]:
    match question:
        case Roster(scope, proxied):
            yield from (
                _titled(state, Assistant(scope, proxied, slug))
                for slug in members(state.records.get(question))
                if str(slug) in held.gone
            )
        case Organizations():
            for id_, slug, name in organizations(state.records.get(question)):
                if id_ in held.gone:
                    yield f"{name} ({slug})"
                    yield from (f"  {line}" for line in _assistants_in(state, id_))
        case Everything():
            for id_, slug, name in organizations(state.records.get(Organizations())):
                yield f"{name} ({slug})"
                yield from (f"  {line}" for line in _assistants_in(state, id_))
            yield from _assistants_in(state, None)


def _assistants_in(state: State, scope: str | None) -> Iterator[str]:
    for slug in members(state.records.get(Roster(scope, False))):
        yield _titled(state, Assistant(scope, False, slug))


def _titled(state: State, question: Assistant) -> str:
    known = state.records.get(question)
    title = known.content.traits.get("title") if isinstance(known, Record) else None
    slug: Slug = question.slug
    return f"{slug}  {title}" if title else str(slug)


def _differences(state: State, question: Question) -> tuple[Difference, ...]:
    if not isinstance(question, Assistant):
        return ()
    known, proposed = state.records.get(question), state.records.get(Proposed.of(question))
    if not isinstance(proposed, Record):
        return ()
    new = proposed.content
    if not isinstance(known, Record):
        return differences({}, _value(new))
    old = known.content
    rotated = [
        "(one without a name)" if name.startswith(UNNAMED) else name
        for name, value in new.bindings.items()
        if name in old.bindings and old.bindings[name] != value
    ]
    return differences(_value(old), _value(new), tuple(dict.fromkeys(rotated)))


def _value(content: Content) -> Any:
    """The JSON value, with references in place of secret values."""
    return orjson.loads(render(content.template, {}, View(False, lambda url: url)))
