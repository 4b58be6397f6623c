"""What `hublet secrets` shows: each cached secret with its state, and a value only when it is asked for by name.

locked         there is a value, but it is not served while the cache is locked
overridden     the user's own source (secrets.override) is served first
expired        not served: the Hub has not confirmed the value for longer than secrets.max_stale
stale, fresh   served: confirmed longer ago than sync.every, or not
location-only  an organization's, a package's, an add-on's or a free trial's: the Hub gives no value
missing        the Hub knows no secret of that name
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import field
from typing import Literal

import orjson

from hublet.core.errors import HubletError
from hublet.core.questions import Assistant, Question, Scope, Secret
from hublet.core.records import UNNAMED, Record
from hublet.core.secretstr import SecretStr
from hublet.core.snapshot import Snapshot, overridden_by
from hublet.core.values import dataclass
from hublet.serve.service import Service

log = logging.getLogger("hublet.secrets")

State = Literal["fresh", "stale", "expired", "locked", "location-only", "missing", "overridden"]


@dataclass(slots=True)
class _Entry:
    """What is known of one name in one scope at one place: the Questions whose records have it, the slugs of the
    packages that refer to it, and its values."""

    name: str
    scope: Scope
    place: str
    kind: str
    questions: list[Question] = field(default_factory=list)
    referred: dict[str, None] = field(default_factory=dict)
    values: set[SecretStr] = field(default_factory=set)


class Secrets:
    """The routes below /secrets. Each raises HubletError."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def all(self) -> dict[str, object]:
        """Every secret with its state, without its value."""
        snapshot = await self._snapshot()
        return {"secrets": [self._shown(entry, snapshot) for entry in entries(snapshot)]}

    async def get(self, name: str, scope: object) -> dict[str, object]:
        """The value of one secret. `scope` is an organization's slug or id; without a text it is the personal scope."""
        snapshot = await self._snapshot()
        return {"value": self._get(snapshot, name, scope if isinstance(scope, str) else None).reveal()}

    async def _snapshot(self) -> Snapshot:
        sync, overrides = self._service.opened(), self._service.overrides
        if overrides is not None and overrides.read_at is None:
            await overrides.refresh()  # without a daemon nothing has read them yet
        return sync.snapshot

    def _shown(self, entry: _Entry, snapshot: Snapshot) -> dict[str, object]:
        now = self._service.clock()
        times = [at for question in entry.questions if (at := snapshot.confirmed_at(question)) is not None]
        return {
            "name": entry.name,
            "scope": entry.scope,
            "state": state_of(entry, snapshot, now),
            "found_at": entry.place,
            "referred_by": list(entry.referred),
            "confirmed_at": min(times) if times else None,
            "age": max(0.0, now - min(times)) if times else None,
        }

    def _get(self, snapshot: Snapshot, name: str, scope: Scope) -> SecretStr:
        now = self._service.clock()
        wanted = {scope} | {id_ for id_, slug, _ in snapshot.organizations() if slug == scope}
        found = [entry for entry in entries(snapshot) if entry.name == name and entry.scope in wanted]
        if not found:
            where = scope or "the personal scope"
            raise HubletError(f"no secret of the name {name} is cached in {where}", hint="see `hublet secrets`")
        # Of several places the best: a value that would be served goes before one that would not.
        order: tuple[State, ...] = (
            "overridden", "fresh", "stale", "locked", "expired", "location-only", "missing",
        )  # fmt: skip
        entry = min(found, key=lambda entry: order.index(state_of(entry, snapshot, now)))
        match state_of(entry, snapshot, now):
            case "locked":
                raise HubletError("the cache is locked: no value is told", hint="`hublet status` says what unlocks it")
            case "expired":
                raise HubletError(
                    f"the Hub has not confirmed {name} for too long: its value is not told", hint="run `hublet sync`"
                )
            case "location-only":
                raise HubletError(f"the Hub gives no value of {name}: it is {entry.place}")
            case "missing":
                raise HubletError(f"the Hub knows no secret of the name {name}", hint="make it in the Hub's settings")
            case "overridden":
                return snapshot.overrides[overridden_by(name)]
        if len(entry.values) != 1:
            raise HubletError(f"{name} has {len(entry.values)} different values", hint="look at each assistant's own")
        return next(iter(entry.values))


def state_of(entry: _Entry, snapshot: Snapshot, now: float) -> State:
    """The state of a secret. Of several records it is the worst one's, since a client may get any of them."""
    overridden = overridden_by(entry.name) in snapshot.overrides
    if snapshot.locked and (entry.values or overridden):
        return "locked"
    if overridden:
        return "overridden"
    if not entry.values:
        return "missing" if entry.kind == "not_found" else "location-only"
    grades = {snapshot.grade(question, now) for question in entry.questions}
    return "expired" if "expired" in grades else "stale" if "stale" in grades else "fresh"


def entries(snapshot: Snapshot) -> list[_Entry]:
    """Every secret in every scope and place, ordered by name; those without a name of their own come last."""
    found: dict[tuple[str, Scope, str], _Entry] = {}

    def entry(
        name: str, scope: Scope, kind: str, place: str, question: Question, values: Iterable[SecretStr]
    ) -> _Entry:
        one = found.setdefault((name, scope, place), _Entry(name, scope, place, kind))
        one.questions.append(question)
        one.values |= set(values)
        return one

    by_user: dict[tuple[str, Scope], _Entry] = {}
    for question, known in snapshot.state.records.items():
        if isinstance(question, Secret) and isinstance(known, Record):
            kind, place = _place(known)
            name = question.fqsn.name
            one = entry(name, question.scope, kind, place, question, known.content.bindings.values())
            one.referred |= dict.fromkeys(str(slug) for slug in question.fqsn.packages if slug.owner)
            if kind == "user":
                by_user[name, question.scope] = one
    for question, known in snapshot.state.records.items():
        if isinstance(question, Assistant) and isinstance(known, Record):
            for name, value in known.content.bindings.items():
                named = by_user.get((name, question.scope))
                if named is None or name.startswith(UNNAMED):
                    named = entry(name, question.scope, "config", "in the config", question, (value,))
                elif value not in named.values:
                    # A rotation came between asking for the list and asking for the secret.
                    named.questions.append(question)
                named.referred[str(question.slug)] = None
    return sorted(found.values(), key=lambda e: (e.name.startswith(UNNAMED), e.name, e.scope or "", e.place))


def _place(record: Record) -> tuple[str, str]:
    """Where the Hub found a secret: the kind of place, and words for the place."""
    value = orjson.loads(record.content.template.text)  # holes are inside strings: it is JSON without them
    place = value.get("secretLocation") if isinstance(value, dict) else None
    match place:
        case {"secretType": "user", "userSlug": str(user)}:
            return "user", f"user {user}"
        case {"secretType": "organization", "orgSlug": str(organization)}:
            return "organization", f"organization {organization}"
        case {"secretType": "package", "packageSlug": {"ownerSlug": owner, "packageSlug": package}}:
            return "package", f"package {owner}/{package}"
        case {"secretType": "models_add_on", "blockSlug": {"ownerSlug": owner, "packageSlug": package}}:
            return "models_add_on", f"models add-on {owner}/{package}"
        case {"secretType": "free_trial", "blockSlug": {"ownerSlug": owner, "packageSlug": package}}:
            return "free_trial", f"free trial {owner}/{package}"
        case {"secretType": str(kind)} if kind != "not_found":
            return kind, kind.replace("_", " ")
    return "not_found", "nowhere"
