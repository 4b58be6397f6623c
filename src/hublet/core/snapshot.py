"""The answers that the cache can give at one moment. A Snapshot is immutable, and published by swapping a reference.

A new one is made when a pass has ended, when the cache is locked or unlocked, and when a record expires. The body of a
record is rendered when it is first asked for; bodies of records that have not changed are taken over from the Snapshot
before. After that an answer is a look-up, and a list the join of its members' bodies.
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
    """How the cache is shown. `icon` gives the address of an icon. `etag_key` keys the ETags, so that nobody can test
    guesses of a secret against one. In seconds: `interval` and `seldom` decide how long answers are fresh
    (core/lifetimes.py), `longest` is the longest time between passes while the Hub answers, and after `max_stale`
    without a confirmation a secret value is no longer served."""

    icon: Callable[[str], str]
    etag_key: bytes
    interval: float
    longest: float
    seldom: float
    max_stale: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as the Hub would have given it. `confirmed_at` is when the Hub last said so (our wall clock),
    `fresh_for` its freshness lifetime; both in seconds."""

    status: int
    body: bytes
    etag: str
    confirmed_at: float
    fresh_for: float
    media_type: str = type_json
    withheld: bool = False
    """Secret values are left out: the cache is locked, they have expired, or the reader may not see them."""
    pinned: bool = False
    """It is a revision that the user has pinned, or a list with one in it."""

    def is_fresh(self, now: float) -> bool:
        """Whether the Hub need not be asked for it again, whatever may be shown of it."""
        return is_fresh(self.confirmed_at, self.fresh_for, now)

    def grade(self, now: float) -> Grade:
        """How good the answer is now: `expired` means that secret values are left out of it."""
        if self.withheld:
            return "expired"
        return "fresh" if self.is_fresh(now) else "stale"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not cached. `ask` is the Operation whose answer would tell."""

    ask: ops.Operation


class _Body:
    """A record's body as it is served, and its entity tag, which is computed when it is first needed."""

    __slots__ = ("_tag", "known", "text")

    def __init__(self, known: Known, text: bytes) -> None:
        self.known, self.text = known, text
        self._tag = ""

    def tag(self, key: bytes) -> str:
        if not self._tag:
            self._tag = _etag(self.text, key)
        return self._tag


class Snapshot:
    """All answers at one moment, `now`. `before` is the Snapshot whose bodies are taken over. `overrides` are the
    user's own secret values by name, which are served in place of the Hub's. At `next_expiry` a new one has to be
    made."""

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
            # A copy: this one is made in a thread, while the event loop still adds to the one before.
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
        """The records as they are served: pinned assistants have their pinned revision."""
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
        """The scope in which secrets are asked for. An id counts before a slug; an unknown slug is taken for an id."""
        if operation.scope is not None or operation.scope_slug is None:
            return operation.scope
        return self._scope_ids.get(operation.scope_slug, operation.scope_slug)

    def answer(self, operation: ops.Operation, *, clear: bool) -> Answer | Unknown:
        """The answer to an Operation; `clear` when the reader may see secret values."""
        key = (operation, clear)
        found = self._answers.get(key)
        if found is None:
            joined = self._join(operation, clear)
            if isinstance(joined, Unknown) or isinstance(operation, ops.SyncSecrets):
                return joined  # not remembered: clients choose the words, and could fill the memory with them
            self._answers[key] = found = joined
        return found

    def icon(self, name: str) -> tuple[bytes, str] | None:
        """(bytes, media type) of the icon whose address ends in `name`; None when there is none."""
        known = self.records.get(self._icons[name]) if name in self._icons else None
        if not isinstance(known, Record):
            return None
        return known.content.template.text, known.content.traits["type"]

    def confirmed_at(self, question: Question) -> float | None:
        return confirmed_at(self.state, question)

    def grade(self, question: Question, now: float) -> Grade | None:
        """How good the answer to a Question is; None when there is none."""
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
        """Whether the owner of the account is served the secret values of this Question now."""
        return self._clear(question, True)

    def values(self, bindings: Bindings) -> Bindings:
        """A record's bindings as they are served: with the user's own values in place of the Hub's."""
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
        """An answer for every element; Unknown with the elements that never were asked for, if there are any."""
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
        """The Secret that answers a name where the Hub can't be asked: its own, else one of the same name.

        The Hub looks for a secret's name at the block's add-on, at the block's package, at the assistant's package, at
        the organization, and then at the user. The last two depend on the scope and the name alone. So a secret found
        there for one path of packages answers every other path in its scope. It does not if a package or an add-on on
        that path is known to have the name: found for another path, or in another scope, where packages are the same.
        Online the Hub is asked instead: it may know of a package that we don't.
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
        """An answer for every element, in order: what is known, and `not_found` for the rest. Never an error, which
        would keep clients from looking into their own `.env` files."""
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
    """A strong entity tag (RFC 9110 section 8.8.3). It is keyed: nobody can test guesses of a secret body against
    it."""
    return f'"{hashlib.blake2b(body, key=key, digest_size=16).hexdigest()}"'


def overridden_by(binding: str) -> str:
    """The name of the user's own value that is served in place of a binding's; empty for a binding without a name."""
    return "" if binding.startswith(UNNAMED) else binding.rpartition("/")[2]
