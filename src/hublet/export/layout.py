"""Which file holds what: pure, from what is left of each assistant to texts by path.

    agents    agents/OWNER.PACKAGE.yaml, one an assistant, and config.yaml, the chosen one
    single    config.yaml alone

The same assistants give the same bytes. A name can't lead out of the folder: all but small letters, digits and `-` of a
slug is written as `_` and two hexadecimal digits a byte, so that no two slugs share a file, on no file system.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

from hublet.core import yamlwrite
from hublet.core.leaving import Leaving, Part
from hublet.core.questions import Slug
from hublet.core.values import dataclass
from hublet.core.variables import each_string, fill

Layout = Literal["agents", "single"]
CONFIG = "config.yaml"
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_LONGEST = 100
_WIDTH = 118


@dataclass(frozen=True, slots=True)
class Assistant:
    """One assistant to be written. `place` is the slug of the organization whose variant it is, empty for the personal
    one; `origin` is the Hub it comes from."""

    slug: Slug
    place: str
    origin: str
    revision: str
    left: Leaving


def laid_out(
    assistants: Iterable[Assistant], layout: Layout, default: Slug | None, *, inline: bool = False
) -> dict[str, str]:
    """Texts by relative path. `inline` puts known values in place of the references to them.

    Raises KeyError when `default` is none of those that can be written.
    """
    usable = [one for one in assistants if one.left.config is not None]
    chosen = _chosen(usable, default)
    files: dict[str, str] = {}
    if layout == "agents":
        files = {f"agents/{file_name(one.slug, one.place)}.yaml": text_of(one, inline=inline) for one in usable}
    if chosen is not None:
        files[CONFIG] = text_of(chosen, inline=inline)
    return files


def _chosen(usable: list[Assistant], default: Slug | None) -> Assistant | None:
    if default is None:
        return usable[0] if usable else None
    for one in usable:
        if one.slug == default:
            return one
    raise KeyError(default)


def file_name(slug: Slug, place: str = "") -> str:
    """A file's name, without its ending, for a slug and the organization it is a variant of."""
    return ".".join(_word(part) for part in (slug.owner, slug.package, place) if part)


def _word(text: str) -> str:
    word = "".join(c if c in _PLAIN else "".join(f"_{byte:02x}" for byte in c.encode("utf-8", "replace")) for c in text)
    if len(word) <= _LONGEST:
        return word
    return f"{word[:60]}_{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"


def text_of(one: Assistant, *, inline: bool = False) -> str:
    """The YAML of an assistant: comments that say where it comes from and what it lacks, then its config."""
    config: object = one.left.config
    if inline:
        values = {f"secrets.{v.name}": v.value.reveal() for v in one.left.variables if v.value is not None}
        config = each_string(config, lambda text: fill(text, values))
    return "".join(f"# {line}\n" for line in _comments(one)) + yamlwrite.dump(config)


def _comments(one: Assistant) -> Iterator[str]:
    where = f" of {one.place}" if one.place else ""
    yield _line(f"{one.slug}{where}, revision {one.revision}, from {one.origin}")
    yield "Written by `hublet export`. It is replaced when the Hub's changes, unless you have edited it."
    for part in one.left.parts:
        if part.standing in ("needs a key", "can't work"):
            yield _line(f"{part.section} {part.name}: {_said(part)}")
    for note in one.left.notes:
        yield _line(f"the Hub said: {note}")


def _said(part: Part) -> str:
    return f"needs {part.why}" if part.standing == "needs a key" else f"can't work without the Hub: {part.why}"


def _line(text: str) -> str:
    """On one line, whatever it holds: what stands behind a line end would be YAML."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= _WIDTH * 4 else line[: _WIDTH * 4] + "…"


def report(assistants: Iterable[Assistant]) -> list[dict[str, object]]:
    """How each assistant and its parts stand without the Hub, as JSON values."""
    return [
        {
            "slug": str(one.slug),
            "place": one.place,
            "standing": one.left.standing,
            "parts": [
                {"section": part.section, "name": part.name, "standing": part.standing, "why": part.why}
                for part in one.left.parts
            ],
            "notes": list(one.left.notes),
        }
        for one in assistants
    ]
