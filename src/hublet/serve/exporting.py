"""The assistants as files: what `hublet export` and `export.directory` are to write.

What is exported is what is served: pinned revisions, the user's own values before the Hub's, and no value while the
cache is locked or the value has expired. Values are exported only where they are asked for, and nothing is exported
where the machine's administrator does not allow it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from hublet.config.loading import ExportSettings
from hublet.core.account import origin_of
from hublet.core.envfile import dump_env
from hublet.core.errors import HubletError
from hublet.core.history import revision_of
from hublet.core.leaving import WITHHELD, Names, leave
from hublet.core.locations import location_of
from hublet.core.questions import Assistant, Question, Secret, Slug
from hublet.core.records import Content, Record
from hublet.core.secretstr import SecretStr
from hublet.core.snapshot import Snapshot
from hublet.core.values import dataclass
from hublet.export import layout, skills
from hublet.serve.listing import listed, slug_of
from hublet.serve.service import Service

_HEADING = "Written by `hublet export`: values of your secrets, in clear. Replaced with them unless you have edited it."


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be exported. Secret values are left out (`none`), given apart from the files (`env`), or put into them
    (`inline`). `withdrawn` adds the user's own assistants that the Hub no longer has."""

    layout: layout.Layout | Literal["skills"] = "agents"
    default: Slug | None = None
    values: Literal["none", "env", "inline"] = "none"
    withdrawn: bool = False

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Wish:
        """The wish that a request's body says. Raises HubletError for any other body."""
        match value:
            case {
                "layout": ("agents" | "single" | "skills") as how,
                "default": str() | None as default,
                "values": ("none" | "env" | "inline") as values,
                "withdrawn": bool(withdrawn),
            }:
                return cls(how, slug_of(default) if default is not None else None, values, withdrawn)
        raise HubletError("the request makes no sense", hint="is another version of hublet running?")


def wish_of(wanted: ExportSettings) -> Wish:
    """The wish that the config's section `export` says. Raises HubletError."""
    default = slug_of(wanted.default) if wanted.default is not None else None
    return Wish(wanted.layout, default, "env" if wanted.env is not None else "none")


def export(service: Service, wish: Wish) -> dict[str, Any]:
    """What to write, and a report.

    `files` are texts by path; `env` is the text of a `.env` file when values are wanted apart, and `left` names the
    values that such a file can't hold; `withheld` names the secrets whose values are not served now; `report` says how
    each assistant would work without the Hub. Raises HubletError, also where values are wanted and some are withheld.
    """
    service.require_handing_over()
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
        raise not_served(withheld)  # files of before have the values, and must not be replaced by files without
    if wish.values == "env":
        values = {v.name: v.value for one in found for v in one.left.variables if v.value is not None}
        answer["env"], answer["left"] = dump_env(values, _HEADING)
    return answer


def _skills(service: Service, snapshot: Snapshot, wish: Wish) -> dict[str, Any]:
    """`export` for skills, which hold no values: so none is missing while values are not served."""
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


def not_served(names: list[str]) -> HubletError:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return HubletError(
        f"nothing is written while values are not served: {', '.join(names[:3])}{more}",
        hint="`hublet status` says whether the cache is locked; else they are unconfirmed for longer than"
        " secrets.max_stale",
    )


def assistants(service: Service, snapshot: Snapshot, *, withdrawn: bool = False) -> Iterator[layout.Assistant]:
    """Each assistant that is listed, personal ones first. An organization's variant of a personal one is left out where
    it is the same."""
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


def _taught(service: Service, snapshot: Snapshot, *, withdrawn: bool) -> Iterator[skills.Taught]:
    """What skills are made of: the same assistants. A further variant of one is left out where it has the same
    words."""
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
    """The user's own assistants that the Hub no longer has: slug, last revision, and its content."""
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
    """The values of the user's own secrets by name, as they are served; `secrets.override` goes first."""
    found: dict[str, SecretStr] = {}
    for question, known in snapshot.records.items():
        if not isinstance(question, Secret) or not isinstance(known, Record) or not snapshot.shows_values(question):
            continue
        if location_of(known.content)[0] == "user":
            for value in known.content.bindings.values():
                found[question.fqsn.name] = value
    return found | dict(snapshot.overrides)


def _user_of(item: tuple[Question, object]) -> str:
    """The user's slug, where this is a record of one of their secrets: its location names it. Else empty."""
    import orjson

    question, known = item
    if isinstance(question, Secret) and isinstance(known, Record):
        match orjson.loads(known.content.template.text):
            case {"secretLocation": {"secretType": "user", "userSlug": str(slug)}}:
                return slug
    return ""
