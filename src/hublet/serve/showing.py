"""What is served, for readers who may see no secret value: the assistants, the organizations and the policy.

    GET /assistants                        the list, without contents
    GET /assistants/SLUG[/ORGANIZATION]    one with its config, in that organization or else in its first place
    GET /policy

References stand in place of secret values. The author's own YAML (rawYaml) and the Hub's error messages are left out:
a value that was pasted into a comment or is quoted in a message can't be told from other text there.
"""

from __future__ import annotations

import asyncio

import orjson

from hublet.core.errors import HubletError
from hublet.core.history import revision_of
from hublet.core.pins import pins
from hublet.core.questions import Assistant, Policy, Slug
from hublet.core.records import Record, View, render
from hublet.core.snapshot import Snapshot
from hublet.serve.listing import listed, slug_of
from hublet.serve.service import Service


async def assistants(service: Service) -> dict[str, object]:
    """Each assistant and where it is served, and the organizations. Raises HubletError."""
    # Every content is hashed to name its revision: that takes too long for the event loop.
    return await asyncio.to_thread(_list, service.opened().snapshot, service.clock())


async def assistant(service: Service, slug: str, organization: str | None = None) -> dict[str, object]:
    """One assistant with its config, in this organization or in its first place. Raises HubletError."""
    snapshot = service.opened().snapshot
    return await asyncio.to_thread(_one, snapshot, slug_of(slug), organization, service.clock())


def policy(service: Service) -> dict[str, object]:
    """The policy that is served. `policy` is null when no organization has one, or when the Hub was never asked for it;
    in the second case `age` is null, too. Raises HubletError."""
    snapshot, now = service.opened().snapshot, service.clock()
    record, at = snapshot.records.get(Policy()), snapshot.confirmed_at(Policy())
    said = orjson.loads(record.content.template.text) if isinstance(record, Record) else None
    found = said if isinstance(said, dict) else {}
    return {
        "policy": found.get("policy"),
        "organization": found.get("orgSlug"),
        "grade": snapshot.grade(Policy(), now) if isinstance(record, Record) else None,
        "age": max(0.0, now - at) if at is not None else None,
    }


def _list(snapshot: Snapshot, now: float) -> dict[str, object]:
    found: dict[Slug, dict[str, object]] = {}
    places: dict[Slug, list[dict[str, object]]] = {}
    pinned = _pinned(snapshot)
    for question, organization, record in listed(snapshot):
        slug = question.slug
        title = record.content.traits.get("title")
        found.setdefault(slug, {"slug": str(slug), "title": title, "places": places.setdefault(slug, [])})
        places[slug].append(_place(snapshot, organization, question, record, pinned, now))
    return {
        "organizations": [{"slug": slug, "name": name} for _, slug, name in snapshot.organizations()],
        "assistants": list(found.values()),
    }


def _one(snapshot: Snapshot, wanted: Slug, place: str | None, now: float) -> dict[str, object]:
    for question, organization, record in listed(snapshot):
        if question.slug == wanted and (place is None or place == organization):
            value = orjson.loads(render(record.content.template, {}, View(False, lambda url: url)))
            result = value.get("configResult") if isinstance(value, dict) else None
            config = result.get("config") if isinstance(result, dict) else None
            shown = _place(snapshot, organization, question, record, _pinned(snapshot), now)
            return {"slug": str(wanted), "title": record.content.traits.get("title"), **shown, "config": config}
    where = f" in the organization {place}" if place is not None else ""
    raise HubletError(f"there is no assistant {wanted}{where}", hint="`hublet status` lists those that there are")


def _pinned(snapshot: Snapshot) -> frozenset[Assistant]:
    return frozenset(pin.assistant for pin in pins(snapshot.state.records, snapshot.made_at))


def _place(
    snapshot: Snapshot,
    organization: str | None,
    question: Assistant,
    record: Record,
    pinned: frozenset[Assistant],
    now: float,
) -> dict[str, object]:
    at = snapshot.confirmed_at(question)
    return {
        "organization": organization,
        "revision": revision_of(record.content),
        "pinned": question in pinned,
        "grade": snapshot.grade(question, now),
        "age": max(0.0, now - at) if at is not None else None,
    }
