"""What can be answered at one moment: immutable, published by swapping a reference.

A Snapshot is made when a pass has ended, when the cache is locked or unlocked, and when a record expires. A body is
rendered when it is first asked for, once for each changed record: what did not change is taken over from the snapshot
before, an answer is a look-up from then on, a list is the join of its members, and what nobody asks for costs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import orjson

from hublet.core import operations as ops
from hublet.core.lifetimes import fresh_for, is_fresh
from hublet.core.locations import location_of
from hublet.core.messages import type_json
from hublet.core.outcomes import root
from hublet.core.pins import Pin, pins, served
from hublet.core.questions import (
    Assistant,
    Fqsn,
    Icon,
    Organizations,
    Pinned,
    Proposed,
    Question,
    Roster,
    Scope,
    Secret,
    Slug,
)
from hublet.core.records import UNNAMED, Bindings, Known, Record, View, Withdrawn, render
from hublet.core.secretanswers import not_found, overridden
from hublet.core.secretstr import SecretStr
from hublet.core.state import State, confirmed_at, members, organizations
from hublet.core.values import dataclass

Grade = Literal["fresh", "stale", "expired"]
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a cache is shown: `icon` gives an icon's address, `etag_key` keys the ETags (so that one can't be used to try
    out secrets), `interval` and `seldom` are how long answers are fresh (core/lifetimes.py), `longest` is the most that
    passes leave between them while the Hub answers, `max_stale` after how long without confirmation secret values are
    no longer served; all in seconds."""

    icon: Callable[[str], str]
    etag_key: bytes
    interval: float
    longest: float
    seldom: float
    max_stale: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A body as it would have come from the Hub, and how old the Hub's word is (`confirmed_at`, our wall clock)."""

    status: int
    body: bytes
    etag: str
    confirmed_at: float
    fresh_for: float
    media_type: str = type_json
    withheld: bool = False
    """Secret values were left out: the cache is locked, they have expired, or the reader may not see them."""
    pinned: bool = False
    """It is, or its list holds, a revision that the user has pinned."""

    def is_fresh(self, now: float) -> bool:
        """Whether the Hub need not be asked for it again, whatever may be shown of it."""
        return is_fresh(self.confirmed_at, self.fresh_for, now)

    def grade(self, now: float) -> Grade:
        if self.withheld:
            return "expired"
        return "fresh" if self.is_fresh(now) else "stale"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not cached: these Operations, asked of the Hub, would tell."""

    ask: ops.Operation


class _Body:
    """A record as it is served, and the tag of that, which is computed when it is first needed."""

    __slots__ = ("_tag", "known", "text")

    def __init__(self, known: Known, text: bytes) -> None:
        self.known, self.text = known, text
        self._tag = ""

    def tag(self, key: bytes) -> str:
        if not self._tag:
            self._tag = _etag(self.text, key)
        return self._tag


class Snapshot:
    """All answers at one moment. `now` is when it was made; `next_expiry` when it has to be made anew. `overrides` are
    the user's own values by name, which go before the Hub's."""

    def __init__(
        self,
        state: State,
        terms: Terms,
        now: float,
        before: Snapshot | None = None,
        overrides: Mapping[str, SecretStr] | None = None,
    ) -> None:
        self.state = state
        self.terms = terms
        self.made_at = now
        self.overrides = overrides or {}
        self.locked = state.ledger.lock is not None
        self.next_expiry = _NEVER
        self._expired: set[Question] = set()
        self._answers: dict[tuple[ops.Operation, bool], Answer] = {}
        self._bodies: dict[tuple[Question, bool], _Body] = {}
        self._pinned: dict[Question, tuple[Record, Pin, Record]] = {}
        self.records = self._with_pins(before)
        self._scope_ids: dict[str, str] = {slug: id_ for id_, slug, _ in self.organizations()}
        self._by_name: dict[str, list[tuple[Secret, str, Slug | None]]] | None = None
        self._icons = {
            terms.icon(question.url).rpartition("/")[2]: question
            for question in state.records
            if isinstance(question, Icon)
        }
        if before is not None and before.terms == terms and before.overrides == self.overrides:
            # A copy first: the one before is still being answered from, while this one is made in a thread.
            for key, made in before._bodies.copy().items():
                if self.records.get(key[0]) is made.known:
                    self._bodies[key] = made
        for question, known in self.records.items():
            if isinstance(question, Proposed | Pinned):
                continue
            if isinstance(known, Record) and known.content.bindings:
                expiry = (confirmed_at(state, question) or known.changed_at) + terms.max_stale
                if expiry <= now:
                    self._expired.add(question)
                else:
                    self.next_expiry = min(self.next_expiry, expiry)

    def _with_pins(self, before: Snapshot | None) -> Mapping[Question, Known]:
        """The records as they are served: pinned assistants with their pinned revision."""
        for pin in pins(self.state.records, self.made_at):
            self.next_expiry = min(self.next_expiry, pin.until)
            present = self.state.records.get(pin.assistant)
            if isinstance(present, Record):
                old = before._pinned.get(pin.assistant) if before is not None else None
                same = old is not None and old[0] is present and old[1].record is pin.record
                record = old[2] if old is not None and same else served(pin, present)
                self._pinned[pin.assistant] = (present, pin, record)
        shown = {question: record for question, (_, _, record) in self._pinned.items()}
        return {**self.state.records, **shown} if shown else self.state.records

    def organizations(self) -> tuple[tuple[str, str, str], ...]:
        """(id, slug, name) of each organization of the account."""
        return organizations(self.state.records.get(Organizations()))

    def scope_of(self, operation: ops.SyncSecrets) -> Scope:
        """The scope that secrets are asked in: an id wins over a slug; an unknown slug stands for itself."""
        if operation.scope is not None or operation.scope_slug is None:
            return operation.scope
        return self._scope_ids.get(operation.scope_slug, operation.scope_slug)

    def answer(self, operation: ops.Operation, *, clear: bool) -> Answer | Unknown:
        """What the cache says to an Operation; `clear` when the reader may see secret values."""
        key = (operation, clear)
        found = self._answers.get(key)
        if found is None:
            joined = self._join(operation, clear)
            if isinstance(joined, Unknown) or isinstance(operation, ops.SyncSecrets):
                return joined  # not remembered: a client's own words would fill the memory
            self._answers[key] = found = joined
        return found

    def icon(self, name: str) -> tuple[bytes, str] | None:
        """(bytes, media type) of the icon that `terms.icon` names so."""
        known = self.records.get(self._icons[name]) if name in self._icons else None
        if not isinstance(known, Record):
            return None
        return known.content.template.text, known.content.traits["type"]

    def confirmed_at(self, question: Question) -> float | None:
        return confirmed_at(self.state, question)

    def grade(self, question: Question, now: float) -> Grade | None:
        """How good a Question's answer is; None when there is none."""
        at = self.confirmed_at(question)
        if at is None:
            return None
        if question in self._expired:
            return "expired"
        return "fresh" if is_fresh(at, self._fresh_for(question), now) else "stale"

    def _fresh_for(self, question: Question) -> float:
        terms = self.terms
        return fresh_for(question, self.records.get(question), interval=terms.interval, seldom=terms.seldom)

    def shows_values(self, question: Question) -> bool:
        """Whether an answer for the account's owner has the secret values of this Question in it."""
        return self._clear(question, True)

    def values(self, bindings: Bindings) -> Bindings:
        """The values that are served for a record's bindings: the user's own go before the Hub's."""
        return self._values(bindings)

    def _clear(self, question: Question, wanted: bool) -> bool:
        return wanted and not self.locked and question not in self._expired

    def _render(self, question: Question, record: Record, clear: bool) -> _Body:
        content = record.content
        text = render(content.template, self._values(content.bindings), View(clear, self.terms.icon))
        self._bodies[question, clear] = made = _Body(record, text)
        return made

    def _values(self, bindings: Bindings) -> Bindings:
        if not self.overrides:
            return bindings
        return {name: self.overrides.get(overridden_by(name), value) for name, value in bindings.items()}

    def _etag(self, body: bytes) -> str:
        return _etag(body, self.terms.etag_key)

    def _body(self, question: Question, record: Record, wanted: bool) -> tuple[bytes, str, bool]:
        """(body, etag, withheld) of a record's content."""
        clear = self._clear(question, wanted)
        made = self._bodies.get((question, clear)) or self._render(question, record, clear)
        return made.text, made.tag(self.terms.etag_key), bool(record.content.bindings) and not clear

    def _join(self, operation: ops.Operation, clear: bool) -> Answer | Unknown:
        match operation:
            case ops.ListAssistants(scope, proxied):
                return self._list(operation, Roster(scope, proxied), clear)
            case ops.ListFullSlugs(scope):
                return self._full_slugs(Roster(scope, False))
            case ops.SyncSecrets():
                return self._secrets(operation, clear)
            case ops.GetCheckoutUrl():
                return Unknown(operation)
        question = root(operation)
        known = self.records.get(question)
        at = self.confirmed_at(question)
        if known is None or at is None:
            return Unknown(operation)
        fresh_for = self._fresh_for(question)
        if isinstance(known, Withdrawn):
            body = orjson.dumps({"message": known.message})
            return Answer(known.status, body, self._etag(body), at, fresh_for)
        body, etag, withheld = self._body(question, known, clear)
        media_type = known.content.traits.get("type", type_json)
        return Answer(200, body, etag, at, fresh_for, media_type, withheld, question in self._pinned)

    def _members(self, roster: Roster) -> Iterator[tuple[Assistant, Record]]:
        for slug in members(self.records.get(roster)):
            question = Assistant(roster.scope, roster.proxied, slug)
            known = self.records.get(question)
            if isinstance(known, Record):
                yield question, known

    def _list(self, operation: ops.Operation, roster: Roster, clear: bool) -> Answer | Unknown:
        at = self.confirmed_at(roster)
        if at is None:
            return Unknown(operation)
        bodies: list[bytes] = []
        tags: list[str] = []
        withheld = pinned = False
        for question, record in self._members(roster):
            body, tag, without = self._body(question, record, clear)
            bodies.append(body)
            tags.append(tag)
            withheld |= without
            pinned |= question in self._pinned
            at = min(at, self.confirmed_at(question) or at)
        return Answer(
            200,
            b"[" + b",".join(bodies) + b"]",
            self._etag(",".join(tags).encode()),
            at,
            self.terms.interval,
            withheld=withheld,
            pinned=pinned,
        )

    def _full_slugs(self, roster: Roster) -> Answer | Unknown:
        at = self.confirmed_at(roster)
        if at is None:
            return Unknown(ops.ListAssistants(roster.scope, roster.proxied))
        slugs = [
            {
                "ownerSlug": question.slug.owner,
                "packageSlug": question.slug.package,
                "versionSlug": record.content.traits.get("version", "latest"),
            }
            for question, record in self._members(roster)
        ]
        body = orjson.dumps({"fullSlugs": slugs})
        return Answer(200, body, self._etag(body), at, self.terms.interval)

    def _secrets(self, operation: ops.SyncSecrets, clear: bool) -> Answer | Unknown:
        """What is known of each; Unknown with only those that never were asked."""
        scope = self.scope_of(operation)
        missing = {
            text: None
            for text, fqsn in self._for_the_hub(operation)
            if not isinstance(self.records.get(Secret(scope, fqsn)), Record)
        }
        return (
            Unknown(ops.SyncSecrets(scope, None, tuple(missing))) if missing else self.secrets(operation, clear=clear)
        )

    def to_ask(self, operation: ops.SyncSecrets) -> ops.SyncSecrets:
        """What to ask the Hub so that this answer is fresh again: the scope that is meant is named by its id."""
        asked = dict.fromkeys(text for text, _ in self._for_the_hub(operation))
        return ops.SyncSecrets(self.scope_of(operation), None, tuple(asked))

    def _for_the_hub(self, operation: ops.SyncSecrets) -> Iterator[tuple[str, Fqsn]]:
        """The elements that only the Hub can answer: they can be read, and no value of the user's own answers them."""
        for text, fqsn in zip(operation.asked, operation.fqsns, strict=True):
            if fqsn is not None and fqsn.name not in self.overrides:
                yield text, fqsn

    def _secret(self, scope: Scope, fqsn: Fqsn) -> Secret | None:
        """The Secret that answers a name: its own, else one of the same name that is the organization's or the user's.

        The Hub looks for a name at the block's add-on, the block's and the assistant's package, the organization, and
        then at the user; the last two depend on scope and name alone. So what was found there for one path answers
        every other path in its scope, unless the name is known to be that of a package or an add-on which the path goes
        through (found by another path, or in another scope: the packages are the same there). Only used where the Hub
        can't be asked: it may know a package that we don't.
        """
        own = Secret(scope, fqsn)
        if isinstance(self.records.get(own), Record):
            return own
        if self._by_name is None:
            self._by_name = {}
            for question, known in self.records.items():
                if isinstance(question, Secret) and isinstance(known, Record):
                    self._by_name.setdefault(question.fqsn.name, []).append((question, *location_of(known.content)))
        same_name = self._by_name.get(fqsn.name, [])
        if any(
            kind in ("package", "models_add_on") and (other.fqsn == fqsn or package in fqsn.packages)
            for other, kind, package in same_name
        ):
            return None
        return next(
            (other for other, kind, _ in same_name if other.scope == scope and kind in ("organization", "user")), None
        )

    def secrets(self, operation: ops.SyncSecrets, *, clear: bool) -> Answer:
        """An answer for every element, in order: what is known, `not_found` for the rest. Never an error for all."""
        scope = self.scope_of(operation)
        results: list[bytes] = []
        at, withheld, lifetime = _NEVER, False, self.terms.seldom
        for text, fqsn in zip(operation.asked, operation.fqsns, strict=True):
            question = self._secret(scope, fqsn) if fqsn is not None else None
            known = self.records.get(question) if question is not None else None
            if fqsn is not None and fqsn.name in self.overrides and clear and not self.locked:
                results.append(overridden(text, fqsn.name, self.overrides[fqsn.name]))
                continue
            if fqsn is None or question is None or not isinstance(known, Record):
                results.append(not_found(text, fqsn.name if fqsn is not None else ""))
                continue
            at = min(at, self.confirmed_at(question) or known.changed_at)
            lifetime = min(lifetime, self._fresh_for(question))
            content = known.content
            if content.bindings and not self._clear(question, clear):
                withheld = True
                results.append(not_found(text, fqsn.name))
            elif content.template.text == b"null":
                results.append(b"null")
            else:
                result = render(content.template, content.bindings, View(True, self.terms.icon))
                results.append(b'{"fqsn":' + text.encode() + b"," + result[1:])
        body = b"[" + b",".join(results) + b"]"
        return Answer(200, body, self._etag(body), at, lifetime, withheld=withheld)


def _etag(body: bytes, key: bytes) -> str:
    """A strong validator (RFC 9110 section 8.8.3) that nobody can try guesses of a secret body with."""
    return f'"{hashlib.blake2b(body, key=key, digest_size=16).hexdigest()}"'


def overridden_by(binding: str) -> str:
    """The name of the user's own value that goes before a binding's; of a binding without a name there is none."""
    return "" if binding.startswith(UNNAMED) else binding.rpartition("/")[2]
