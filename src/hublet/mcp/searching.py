"""Finding rules and prompts by words: a pure function that looks through all of them, without an index."""

from __future__ import annotations

from collections.abc import Mapping

from hublet.core.instructions import Instruction, one_line

_BEFORE, _LONGEST = 60, 240
"""How many characters an excerpt shows before the word that was found, and in total."""


def search(
    named: Mapping[str, tuple[str, Instruction]], query: str, kind: str | None = None, slug: str | None = None
) -> list[dict[str, str]]:
    """The instructions that contain every word of the query, in upper or lower case. `kind` and `slug` narrow them to
    rules or prompts, and to one assistant."""
    words = query.casefold().split()
    found = []
    for name, (owner, each) in named.items():
        if (kind is not None and each.kind != kind) or (slug is not None and owner != slug):
            continue
        place = "\n".join((each.name, each.description, each.text)).casefold()
        if all(word in place for word in words):
            found.append(
                {
                    "assistant": owner,
                    "kind": each.kind,
                    "name": one_line(each.name, 200),
                    "prompt": name,
                    "description": one_line(each.description, 200),
                    "excerpt": _excerpt(each.text, words),
                }
            )
    return found


def _excerpt(text: str, words: list[str]) -> str:
    """The surroundings of the first word that is in the text; the text's beginning when none is. Case folding may move
    the position by a few characters, which does not matter: the excerpt is only for reading."""
    places = [at for at in (text.casefold().find(word) for word in words) if at >= 0]
    first = max(0, min(places, default=0) - _BEFORE)
    return one_line(text[first : first + _LONGEST * 2], _LONGEST)
