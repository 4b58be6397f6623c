"""Finding rules and prompts by words: pure, in the order of names, without any index."""

from __future__ import annotations

from collections.abc import Mapping

from hublet.core.instructions import Instruction, one_line

_BEFORE, _LONGEST = 60, 240
"""Characters of a text that an excerpt shows before the word that was found, and in all."""


def search(
    named: Mapping[str, tuple[str, Instruction]], query: str, kind: str | None = None, slug: str | None = None
) -> list[dict[str, str]]:
    """Each instruction that holds every word of the query, in any case; only of a kind or an assistant if asked for."""
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
    """The neighbourhood of the first word that is in the text, else its beginning. Case folding can move what it is at
    by a few characters: it is only to be looked at."""
    places = [at for at in (text.casefold().find(word) for word in words) if at >= 0]
    first = max(0, min(places, default=0) - _BEFORE)
    return one_line(text[first : first + _LONGEST * 2], _LONGEST)
