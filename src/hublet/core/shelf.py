"""A folder's packages as a Hub: which are assistants, and what each of them says to a question.

    owner/package.yaml           a package, the newest version (`.yml` and `.md` too; a rule may be markdown)
    owner/package/1.2.0.yaml     a fixed version, for `uses: owner/package@1.2.0`

Every YAML file is an assistant, except a block: a file with exactly one item, which another file of the folder uses.
Secrets are in no folder: each reference stays one, by the secret's own name (`${{ secrets.NAME }}`).
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
"""Files by package and version (`latest`: the plain one)."""


def assistants(shelf: Shelf) -> tuple[Slug, ...]:
    """The assistants of a folder, in order of their names."""
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
    """An assistant as the Hub tells it; None when there is none. One that can't be used comes with a fatal error."""
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
    """What is wrong with a folder, as (package, sentence): what can't be used at all, and what leaves a gap."""
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
    """Whatever the blocks that a secret is asked through: what answers is the user's own, and knows names alone."""
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
    """Also said of what can't be read: who uses it learns what is wrong with it."""
    return value is None or len(list(_items(value))) == 1
