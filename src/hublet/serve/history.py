"""Earlier revisions, for people: the timeline, the content of one, how two differ, and pinning one.

Revisions are shown with references in place of secret values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import orjson

from hublet.core.differing import differences
from hublet.core.errors import HubletError
from hublet.core.history import Timeline, is_historic, merged, revision_of
from hublet.core.naming import PROXIED, names_by_id
from hublet.core.pins import pinned, pins
from hublet.core.questions import Assistant, Block, Organizations, Policy, Question, Slug
from hublet.core.records import Content, Record, View, render
from hublet.core.snapshot import Snapshot
from hublet.core.values import dataclass
from hublet.passes.sync import Sync
from hublet.serve.service import Service
from hublet.store.archive import Archive

PREVIOUS = "previous"
_NOW = "now"
_FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Entry:
    """A revision of a Question, and from when until when it was the current one; `until` is None while it still is."""

    question: Question
    revision: str
    since: float
    until: float | None
    secrets: tuple[str, ...]
    """The names of the secrets whose values changed when it began."""


class History:
    """The routes below /history, /diff and /pins. Each raises HubletError."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def log(self, what: str | None = None) -> dict[str, object]:
        """Every revision of everything, or of what has this name."""
        entries = self._entries() if what is None else self._of(what)
        return {"entries": [self._plain(entry) for entry in entries]}

    async def show(self, what: str, revision: str) -> dict[str, object]:
        """One revision with its content."""
        entry, content = await self._content(what, revision)
        return self._plain(entry) | {"content": _json(content)}

    # Finding

    def _open(self) -> tuple[Sync, Archive]:
        sync, archive = self._service.opened(), self._service.archive
        assert archive is not None
        return sync, archive

    def _entries(self) -> Iterator[Entry]:
        sync, archive = self._open()
        timelines, records = archive.timelines(), sync.state.records
        known = dict.fromkeys((*records, *timelines))
        for question in known:
            if is_historic(question):
                present = records.get(question)
                timeline = timelines.get(question, Timeline(question))
                for row in merged(timeline, present if isinstance(present, Record) else None):
                    yield Entry(question, *row)

    def _of(self, what: str) -> list[Entry]:
        found = [entry for entry in self._entries() if _is_called(entry.question, what)]
        if not found:
            raise HubletError(f"nothing is known of {what}", hint="`hublet log` lists what there is")
        return sorted(found, key=lambda entry: (_variant(entry.question), entry.since))

    def _one(self, what: str, revision: str) -> Entry:
        """The last entry with this revision, which may be given by its first digits, as `previous` or as `now`. Those
        two are looked for in the first variant only."""
        entries = self._of(what)
        first = [entry for entry in entries if _variant(entry.question) == _variant(entries[0].question)]
        if revision == PREVIOUS:
            if len(first) < 2:
                raise HubletError(f"there is no earlier revision of {what}", hint=f"`hublet log {what}` lists them")
            return first[-2]
        if revision == _NOW:
            return first[-1]
        matching = [entry for entry in entries if entry.revision.startswith(revision)]
        if len({entry.revision for entry in matching}) != 1:
            many = "more than one" if matching else "no"
            raise HubletError(f"{what} has {many} revision {revision}", hint=f"`hublet log {what}` lists them")
        return matching[-1]

    async def _content(self, what: str, revision: str) -> tuple[Entry, Content]:
        entry = self._one(what, revision)
        return entry, await self._content_of(entry)

    async def _content_of(self, entry: Entry) -> Content:
        sync, archive = self._open()
        present = sync.state.records.get(entry.question)
        if isinstance(present, Record) and revision_of(present.content) == entry.revision:
            return present.content
        content = await asyncio.to_thread(archive.revision, entry.question, entry.revision)
        if content is None:
            raise HubletError(
                f"the revision {entry.revision} can't be read", hint="`hublet store check` looks for more"
            )
        return content

    async def diff(self, old: str, new: str) -> dict[str, object]:
        """How two revisions differ, both given as WHAT@REVISION; without a revision it is the current one."""
        (before, was), (after, now) = [await self._content(*_split(text)) for text in (old, new)]
        secrets: tuple[str, ...] = ()
        if before.question == after.question:
            low, high = sorted((before.since, after.since))
            between = [entry for entry in self._entries() if entry.question == before.question]
            names = (name for entry in between if low < entry.since <= high for name in entry.secrets)
            secrets = tuple(dict.fromkeys(names))
        found = await asyncio.to_thread(differences, _json(was), _json(now), secrets)
        return {
            "old": self._plain(before),
            "new": self._plain(after),
            "differences": [
                {"section": one.section, "name": one.name, "how": one.how, "lines": list(one.lines)} for one in found
            ],
        }

    # Pinning

    async def pin(self, what: str, revision: str, seconds: object) -> dict[str, object]:
        """Serve this revision of an assistant, in all its scopes and variants, for so many seconds or for good. `left`
        names the variants that had neither this revision nor another at its time."""
        sync, _ = self._open()
        chosen = self._one(what, revision)
        if not isinstance(chosen.question, Assistant):
            raise HubletError("only an assistant can be pinned", hint=f"`hublet show {what}` shows what it was")
        now = self._service.clock()
        until = now + seconds if isinstance(seconds, int | float) else _FOREVER
        records, left = {}, []
        for question in dict.fromkeys(entry.question for entry in self._of(what)):
            if not isinstance(question, Assistant) or not isinstance(sync.state.records.get(question), Record):
                continue
            entry = self._variant_of(chosen, question)
            if entry is None:
                left.append(_variant_name(sync.snapshot, question))
                continue
            content = await self._content_of(entry)
            records[question] = pinned(question, entry.revision, content, until, now)
        if not records:
            raise HubletError(
                f"{what} is withdrawn: what the Hub has taken back is not served", hint="see `hublet show`"
            )
        await sync.pin(records)
        for question in records:
            self._service.events.tell("pinned", what=what, scope=question.scope, detail=chosen.revision)
        return {"revision": chosen.revision, "until": None if until == _FOREVER else until, "left": left}

    def _variant_of(self, chosen: Entry, question: Question) -> Entry | None:
        """The entry of another scope or of the proxied variant that goes with a chosen one: the same revision, else the
        one that was current at the same time. None where there is neither."""
        entries = [entry for entry in self._of(_name(question)) if entry.question == question]
        same = [entry for entry in entries if entry.revision == chosen.revision]
        last = chosen.until if chosen.until is not None else _FOREVER
        stood = [entry for entry in entries if entry.since < last and (entry.until or _FOREVER) > chosen.since]
        found = same or stood
        return found[-1] if found else None

    async def unpin(self, what: str) -> dict[str, object]:
        """Serve what the Hub says again."""
        sync, _ = self._open()
        found = [pin.assistant for pin in pins(sync.state.records, 0.0) if _is_called(pin.assistant, what)]
        if not found:
            raise HubletError(f"{what} is not pinned", hint="`hublet log` lists what is")
        await sync.pin(dict.fromkeys(found))
        for question in found:
            self._service.events.tell("unpinned", what=what, scope=question.scope)
        return {}

    def _plain(self, entry: Entry) -> dict[str, object]:
        sync, _ = self._open()
        now = self._service.clock()
        pin = next((pin for pin in pins(sync.state.records, now) if pin.assistant == entry.question), None)
        return {
            "what": _name(entry.question),
            "kind": entry.question.kind,
            "variant": _variant_name(sync.snapshot, entry.question),
            "revision": entry.revision,
            "since": entry.since,
            "until": entry.until,
            "secrets": list(entry.secrets),
            "pinned": pin is not None and pin.revision == entry.revision,
            "pinned_until": pin.until if pin is not None and pin.until != _FOREVER else None,
        }


def _split(text: str) -> tuple[str, str]:
    what, _, revision = text.partition("@")
    return what, revision or _NOW


def _json(content: Content) -> object:
    return orjson.loads(render(content.template, {}, View(False, lambda url: url)))


def _name(question: Question) -> str:
    """The name that `hublet log` takes. A package has its slug in all versions, because there `@` precedes a revision;
    the version is the variant."""
    match question:
        case Assistant(slug=slug) | Block(slug=slug):
            return str(slug)
    return question.kind


def _is_called(question: Question, what: str) -> bool:
    if not is_historic(question):
        return False
    if isinstance(question, Organizations | Policy):
        return question.kind == what
    try:
        return _name(question) == str(Slug.parse(what))
    except ValueError:
        return False


def _variant(question: Question) -> tuple[bool, str, str]:
    """The order of variants: not proxied before proxied, the personal scope before organizations, those by id."""
    match question:
        case Assistant(scope, proxied, _):
            return proxied, scope or "", ""
        case Block(version=version):
            return False, "", version
    return False, "", ""


def _variant_name(snapshot: Snapshot, question: Question) -> str:
    match question:
        case Assistant(scope, proxied, _):
            names = names_by_id(snapshot.organizations())
            return (names.get(scope, scope) if scope else "personal") + (PROXIED if proxied else "")
        case Block(version=version):
            return version
    return ""
