"""Which file an export puts an assistant into: a pure function from assistants to texts by path.

    agents    agents/OWNER.PACKAGE.yaml, one an assistant, and config.yaml, the chosen one
    single    config.yaml alone

The same assistants always give the same bytes. File names are safe: each character of a slug other than a small
letter, a digit or `-` is written as `_` and two hexadecimal digits for each of its bytes. So a name can't lead out of
the folder, and no two slugs share a file, even on a file system that ignores case.
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
    """An assistant to be written. `place` is the slug of the organization whose variant it is, empty for the personal
    scope. `origin` is the Hub that it comes from. `left` is what works of it without the Hub (core/leaving.py)."""

    slug: Slug
    place: str
    origin: str
    revision: str
    left: Leaving


def laid_out(
    assistants: Iterable[Assistant], layout: Layout, default: Slug | None, *, inline: bool = False
) -> dict[str, str]:
    """Texts by relative path. With `inline` references to secrets are replaced by the values that are known.

    Raises KeyError when `default` is not among the assistants that can be written.
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
    """The name of a file, without `.yaml`, for an assistant and the organization whose variant it is."""
    return ".".join(_word(part) for part in (slug.owner, slug.package, place) if part)


def _word(text: str) -> str:
    word = "".join(c if c in _PLAIN else "".join(f"_{byte:02x}" for byte in c.encode("utf-8", "replace")) for c in text)
    if len(word) <= _LONGEST:
        return word
    return f"{word[:60]}_{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"


def text_of(one: Assistant, *, inline: bool = False) -> str:
    """The YAML of an assistant: comments about its origin and about what does not work in it, then its config."""
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
    """The text as one line: after a line break the rest would be YAML instead of a comment."""
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
