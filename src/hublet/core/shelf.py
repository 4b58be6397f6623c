"""The packages of a folder, answered as a Hub answers: which of them are assistants, and each assistant unrolled.

    owner/package.yaml           a package, its latest version (`.yml` and `.md` too; a rule may be markdown)
    owner/package/1.2.0.yaml     a fixed version, for `uses: owner/package@1.2.0`

Every YAML file is an assistant, unless it is a block: a file with exactly one item, which another file of the folder
uses. There are no secrets in a folder: each reference stays one, by the secret's own name (`${{ secrets.NAME }}`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hublet.core import yaml12
from hublet.core.packages import File, Package, Source, source_of
from hublet.core.places import SECTIONS
from hublet.core.questions import LATEST, Slug
from hublet.core.records import reference
from hublet.core.unrolling import NoBlock, NotUsable, Rendering, Text, unroll
from hublet.core.values import dataclass
from hublet.core.yaml12 import YamlError

Json = Any


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: its text, or why it can't be used (`problem`)."""

    text: str = ""
    markdown: bool = False
    problem: str = ""


Shelf = Mapping[tuple[Slug, str], Entry]
"""The files by package and version; `owner/package.yaml` has the version `latest`."""


def assistants(shelf: Shelf) -> tuple[Slug, ...]:
    """The assistants of a folder, sorted by their slugs."""
    values = {key: _value(entry) for key, entry in shelf.items()}
    used = {name for value in values.values() for name in _uses(value)}
    return tuple(
        sorted(
            slug
            for (slug, version), entry in shelf.items()
            if version == LATEST and not entry.markdown
            if str(slug) not in used or not _is_one_item(values[slug, version])
        )
    )


def assistant(shelf: Shelf, slug: Slug) -> dict[str, Json] | None:
    """An assistant as a Hub sends it: one that can't be used has a fatal error. None when there is no such
    assistant."""
    entry = shelf.get((slug, LATEST))
    if entry is None or entry.markdown:
        return None
    result: dict[str, Json]
    try:
        if entry.problem:
            raise NotUsable(entry.problem)
        unrolled = unroll(
            Package(slug.owner, slug.package), Text(entry.text, yaml_only=True), _registry(shelf), Rendering(_by_name)
        )
        result = {"config": unrolled.config, "configLoadInterrupted": False}
        if unrolled.errors:
            result["errors"] = unrolled.errors
    except NotUsable as error:
        fatal = {"fatal": True, "message": str(error), "uri": f"slug://{slug}"}
        result = {"config": None, "configLoadInterrupted": True, "errors": [fatal]}
    return {
        "configResult": result,
        "ownerSlug": slug.owner,
        "packageSlug": slug.package,
        "iconUrl": None,
        "onPremProxyUrl": None,
        "useOnPremProxy": False,
        "rawYaml": entry.text,
    }


def problems(shelf: Shelf) -> Iterator[tuple[str, str]]:
    """(package, sentence) for everything that is wrong in a folder: files that can't be used, and errors that leave a
    gap in an assistant."""
    for (slug, version), entry in sorted(shelf.items()):
        if entry.problem:
            yield f"{slug}@{version}" if version != LATEST else str(slug), entry.problem
    for slug in assistants(shelf):
        if not shelf[slug, LATEST].problem:
            said = assistant(shelf, slug)
            assert said is not None
            for error in said["configResult"].get("errors", ()):
                yield str(slug), " ".join(error["message"].split())


def _by_name(names: tuple[str, ...]) -> Mapping[str, str]:
    """References by the secrets' own names, without the packages: the user's own values answer them, which have names
    only."""
    return {name: reference(name.rpartition("/")[2]) for name in names}


def _registry(shelf: Shelf) -> Any:
    def text_of(source: Source) -> Text | None:
        if isinstance(source, File):
            raise NoBlock("A Hub in a folder takes its packages by owner/package, not by a file's path")
        entry = shelf.get((Slug(source.owner, source.name), source.version))
        if entry is None:
            return None
        if entry.problem:
            raise NoBlock(f"Block {source}: {entry.problem}")
        return Text(entry.text, yaml_only=not entry.markdown)

    return text_of


def _value(entry: Entry) -> Json:
    try:
        return yaml12.read(entry.text) if not entry.markdown else None
    except YamlError:
        return None


def _items(value: Json) -> Iterator[Json]:
    for section in SECTIONS:
        items = value.get(section) if isinstance(value, dict) else None
        if isinstance(items, list):
            yield from items


def _uses(value: Json) -> Iterator[str]:
    for item in _items(value):
        uses = item.get("uses") if isinstance(item, dict) else None
        if isinstance(uses, str):
            yield str(source_of(uses))


def _is_one_item(value: Json) -> bool:
    """Whether a file has exactly one item. One that can't be read counts as if it had: the assistant that uses it gets
    the error."""
    return value is None or len(list(_items(value))) == 1
