"""Rosters and lists of organizations in which members are kept that the Hub no longer names."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Any, TypeVar

import orjson

from hublet.core.questions import Slug
from hublet.core.records import Content, Template, View, cut, render

Member = TypeVar("Member", bound=Hashable)


def merged(old: Sequence[Member], new: Sequence[Member], keep: Collection[Member]) -> tuple[Member, ...]:
    """The new members in their order, and the old ones to `keep`, each behind the member that it stood behind
    before."""
    result = list(new)
    for index, member in enumerate(old):
        if member in keep:
            before = next((other for other in reversed(old[:index]) if other in result), None)
            result.insert(result.index(before) + 1 if before is not None else 0, member)
    return tuple(result)


def roster_content(slugs: Iterable[Slug]) -> Content:
    """The content of a roster with these assistants."""
    return Content(Template(orjson.dumps([[slug.owner, slug.package] for slug in slugs])))


def rows(content: Content) -> list[Slug]:
    """The slugs in a roster's content, in order."""
    return [Slug(owner, package) for owner, package in orjson.loads(content.template.text)]


def organizations_kept(old: Content, new: Content, keep: Collection[str]) -> Content:
    """The organizations that the Hub names now, and those of before whose ids are to be kept. Everything else in the
    content is as the Hub says it now."""
    open_ = _Opened((old, new))
    was, now = (by_id(value) for value in open_.values)
    order = merged(tuple(was), tuple(now), [id_ for id_ in keep if id_ not in now])
    return open_.closed({**open_.values[1], "organizations": [now[id_] if id_ in now else was[id_] for id_ in order]})


def organizations_without(content: Content, gone: Collection[str]) -> Content:
    """The organizations without those whose ids are `gone`."""
    open_ = _Opened((content,))
    (value,) = open_.values
    return open_.closed({**value, "organizations": [org for id_, org in by_id(value).items() if id_ not in gone]})


def by_id(value: Any) -> dict[str, Any]:
    """The organizations in the Hub's JSON value, by id."""
    return {organization["id"]: organization for organization in value["organizations"]}


class _Opened:
    """Contents as JSON values, with marks in place of the holes of their icons. `closed` makes a content of such a
    value again."""

    def __init__(self, contents: Iterable[Content]) -> None:
        contents = tuple(contents)
        self._mark = "@"
        while any(self._mark.encode() in content.template.text for content in contents):
            self._mark += "@"  # until no text has it, so that every mark found later is one of ours
        self._icons: list[str] = []
        view = View(clear=False, icon=self._hole)
        self.values: list[Any] = [orjson.loads(render(content.template, {}, view)) for content in contents]

    def _hole(self, url: str) -> str:
        self._icons.append(url)
        return f"{self._mark}{len(self._icons) - 1};"

    def closed(self, value: object) -> Content:
        return Content(cut(orjson.dumps(value), self._mark, lambda number: ("icon", self._icons[number])))
