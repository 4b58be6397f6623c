"""Handing the assistants over as files: what is to be written, for `hublet export`, and writing it after each change.

What is exported is what is served: pinned revisions, the user's own values before the Hub's, and no value while the
cache is locked or a value has expired. Values go out only where they are asked for, and nothing does where the
machine's administrator has said no.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from hublet.config import Export
from hublet.core.account import origin_of
from hublet.core.envfile import dump_env
from hublet.core.errors import HubletError
from hublet.core.history import revision_of
from hublet.core.leaving import WITHHELD, Names, leave
from hublet.core.locations import location_of
from hublet.core.questions import Assistant, Pinned, Question, Roster, Secret, Slug
from hublet.core.records import Content, Record
from hublet.core.secretstr import SecretStr
from hublet.core.snapshot import Snapshot
from hublet.core.state import Change, members
from hublet.core.values import dataclass
from hublet.export import layout, skills
from hublet.export.files import Written, write_beside, write_files
from hublet.managed import load_managed
from hublet.serve.service import Service

log = logging.getLogger("hublet.export")

_HEADING = "Written by `hublet export`: values of your secrets, in clear. Replaced with them unless you have edited it."


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be exported. `values` are told apart from the files (`env`) or put into them (`inline`)."""

    layout: layout.Layout | Literal["skills"] = "agents"
    default: Slug | None = None
    values: Literal["none", "env", "inline"] = "none"
    withdrawn: bool = False

    @classmethod
    def of(cls, value: dict[str, Any]) -> Wish:
        """Raises HubletError for what makes no sense."""
        match value:
            case {
                "layout": ("agents" | "single" | "skills") as how,
                "default": str() | None as default,
                "values": ("none" | "env" | "inline") as values,
                "withdrawn": bool(withdrawn),
            }:
                return cls(how, slug_of(default) if default is not None else None, values, withdrawn)
        raise HubletError("the request makes no sense", hint="is another version of hublet running?")


def slug_of(text: str) -> Slug:
    """Raises HubletError."""
    try:
        return Slug.parse(text)
    except ValueError:
        raise HubletError(f"{text} is not of the form OWNER/PACKAGE", hint="see `hublet status`") from None


def wish_of(wanted: Export) -> Wish:
    """What `export.directory` is to hold."""
    default = slug_of(wanted.default) if wanted.default is not None else None
    return Wish(wanted.layout, default, "env" if wanted.env is not None else "none")


def allowed(service: Service) -> None:
    """Raises HubletError where files may not be handed over on this machine."""
    managed = load_managed(service.managed_file, owner=service.managed_owner)
    if not managed.export:
        raise HubletError(f"handing over files is not allowed on this machine: {managed.file} says so")


def export(service: Service, wish: Wish) -> dict[str, Any]:
    """The files to be written by path, the text of a `.env` file if values are wanted apart, and how each assistant
    stands without the Hub. Raises HubletError."""
    allowed(service)
    sync = service.opened()
    if wish.layout == "skills":
        return _skills(service, sync.snapshot, wish)
    found = list(assistants(service, sync.snapshot, withdrawn=wish.withdrawn))
    withheld = sorted({v.name for one in found for v in one.left.variables if v.whose == WITHHELD})
    try:
        files = layout.laid_out(found, wish.layout, wish.default, inline=wish.values == "inline")
    except KeyError:
        raise HubletError(
            f"{wish.default} can't be the default: it is not cached, or the Hub could not load it",
            hint="see `hublet status`",
        ) from None
    report = layout.report(found)
    answer: dict[str, Any] = {"files": files, "report": report, "env": None, "left": [], "withheld": withheld}
    if withheld and wish.values != "none":
        raise _not_served(withheld)  # what was written before has them, and must not be replaced by a file without
    if wish.values == "env":
        values = {v.name: v.value for one in found for v in one.left.variables if v.value is not None}
        answer["env"], answer["left"] = dump_env(values, _HEADING)
    return answer


def _skills(service: Service, snapshot: Snapshot, wish: Wish) -> dict[str, Any]:
    """Skills never hold a value, so that none is missed while it is not served."""
    if wish.values != "none" or wish.default is not None:
        raise HubletError("skills have no values and no default", hint="leave both out, or take another layout")
    found = list(_taught(service, snapshot, withdrawn=wish.withdrawn))
    return {
        "files": skills.laid_out(found) if found else {},
        "report": [
            {
                "slug": str(one.slug),
                "place": one.place,
                "standing": "works" if one.found is not None else "can't work",
                "parts": [],
                "notes": [] if one.found is not None else ["the Hub could not load it"],
            }
            for one in found
        ],
        "env": None,
        "left": [],
        "withheld": [],
    }


def _not_served(names: list[str]) -> HubletError:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return HubletError(
        f"nothing is written while values are not served: {', '.join(names[:3])}{more}",
        hint="`hublet status` says whether the cache is locked; else they are unconfirmed for longer than"
        " secrets.max_stale",
    )


def assistants(service: Service, snapshot: Snapshot, *, withdrawn: bool = False) -> Iterator[layout.Assistant]:
    """Each listed assistant, personal ones first; an organization's variant of one only where it is another."""
    origin, names, known = origin_of(service.config.hub.url), Names(), _own_values(snapshot)
    personal: dict[Slug, object] = {}
    for question, organization, record in listed(snapshot):
        slug = question.slug
        content, withheld = _shown(snapshot, question, record)
        left = leave(content, slug, names, known if not snapshot.locked else {}, withheld)
        same = (left.config, tuple((v.name, v.whose) for v in left.variables))
        if organization is None:
            personal[slug] = same
        elif personal.get(slug) == same:
            continue
        place = organization if organization is not None and slug in personal else ""
        yield layout.Assistant(slug, place, origin, revision_of(record.content), left)
    for slug, revision, content in _withdrawn(service, snapshot) if withdrawn else ():
        left = leave(content, slug, names, known if not snapshot.locked else {})
        yield layout.Assistant(slug, "", origin, revision, left)


def listed(snapshot: Snapshot) -> Iterator[tuple[Assistant, str | None, Record]]:
    """Each assistant in each scope that lists it, as it is served, with that organization's slug; the personal scope
    first."""
    scopes: dict[str | None, str | None] = {None: None} | {id_: slug for id_, slug, _ in snapshot.organizations()}
    for scope, organization in scopes.items():
        for slug in members(snapshot.records.get(Roster(scope, False))):
            question = Assistant(scope, False, slug)
            record = snapshot.records.get(question)
            if isinstance(record, Record):
                yield question, organization, record


def _taught(service: Service, snapshot: Snapshot, *, withdrawn: bool) -> Iterator[skills.Taught]:
    """What skills are made of: the same assistants; another variant of one only where its words are others."""
    first: dict[Slug, tuple[object, ...]] = {}
    for question, organization, record in listed(snapshot):
        one = skills.taught(question.slug, "", record.content)
        same = (one.title, one.found)
        if question.slug in first:
            if first[question.slug] == same:
                continue
            one = replace(one, place=organization or "")
        first.setdefault(question.slug, same)
        yield one
    for slug, _, content in _withdrawn(service, snapshot) if withdrawn else ():
        yield skills.taught(slug, "", content)


def _withdrawn(service: Service, snapshot: Snapshot) -> Iterator[tuple[Slug, str, Content]]:
    """The user's own assistants that the Hub no longer has, as they last were, with their revision."""
    archive = service.archive
    own = {place for place in map(_user_of, snapshot.records.items()) if place}
    for question, timeline in archive.timelines().items() if archive is not None else ():
        if not isinstance(question, Assistant) or question.proxied or question.scope is not None:
            continue
        if isinstance(snapshot.records.get(question), Record) or question.slug.owner not in own or not timeline.periods:
            continue
        assert archive is not None
        revision = timeline.periods[-1].revision
        content = archive.revision(question, revision)
        if content is not None:
            yield question.slug, revision, content


def _shown(snapshot: Snapshot, question: Question, record: Record) -> tuple[Content, frozenset[str]]:
    """The content with the values that may be shown, and the names of those that may not."""
    if not snapshot.shows_values(question):
        return replace(record.content, bindings={}), frozenset(record.content.bindings)
    return replace(record.content, bindings=snapshot.values(record.content.bindings)), frozenset()


def _own_values(snapshot: Snapshot) -> dict[str, SecretStr]:
    """The user's own secrets by name, as they are served."""
    found: dict[str, SecretStr] = {}
    for question, known in snapshot.records.items():
        if not isinstance(question, Secret) or not isinstance(known, Record) or not snapshot.shows_values(question):
            continue
        if location_of(known.content)[0] == "user":
            for value in known.content.bindings.values():
                found[question.fqsn.name] = value
    return found | dict(snapshot.overrides)


def _user_of(item: tuple[Question, object]) -> str:
    """The user's slug, as a secret of theirs tells it."""
    import orjson

    question, known = item
    if isinstance(question, Secret) and isinstance(known, Record):
        match orjson.loads(known.content.template.text):
            case {"secretLocation": {"secretType": "user", "userSlug": str(slug)}}:
                return slug
    return ""


class Exporter:
    """Writes `export.directory` after what is served has changed. Belongs to one event loop; one writing at a time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self.at: float | None = None
        self.problem = ""
        self.kept: tuple[str, ...] = ()

    def changed(self, changes: tuple[Change, ...]) -> None:
        """Listens to Sync."""
        if any(isinstance(change.question, Assistant | Roster | Pinned) for change in changes):
            self.soon()

    def soon(self) -> None:
        """Write when the turn comes; once for all that asked meanwhile."""
        if self._service.config.export.directory is None:
            return
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self._task = asyncio.get_running_loop().create_task(self._run(), name="export")

    async def close(self) -> None:
        """Let a writing that runs come to its end."""
        self._again = False
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._again = False
            try:
                done = await asyncio.to_thread(self._write)
            except HubletError as error:
                if error.message != self.problem:
                    log.error("the export failed: %s", error.message)
                self.problem = error.message
            except Exception:
                log.exception("the export failed")
                self.problem = "a fault of hublet's own; its log has more"
            else:
                self.at, self.problem = self._service.clock(), ""
                if done.written or done.removed:
                    log.info("exported: %d files written, %d removed", len(done.written), len(done.removed))
                kept = tuple(sorted(done.kept))
                for path in sorted(set(kept) - set(self.kept)):
                    log.warning("%s was edited and is left as it is; the new one is beside it", path)
                self.kept = kept
            if not self._again:
                return

    def _write(self) -> Written:
        wanted = self._service.config.export
        assert wanted.directory is not None
        answer = export(self._service, wish_of(wanted))
        if answer["withheld"]:
            raise _not_served(answer["withheld"])  # as at a Hub's end, which is what the folder is for
        if not answer["files"]:
            return Written()  # a cache that knows no assistant is new, and says nothing of these files
        done = write_files(wanted.directory, answer["files"])
        if wanted.env is not None:
            done.kept |= write_beside(wanted.env, answer["env"]).kept
        return done
