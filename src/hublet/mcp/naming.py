"""What assistants and their instructions are called in the protocol, whatever the Hub's names hold.

hublet://OWNER/PACKAGE      an assistant; all but RFC 3986's unreserved characters are written as %XX
OWNER/PACKAGE/NAME          one of its prompts or rules
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

from hublet.core.instructions import Instruction, one_line

SCHEME = "hublet://"
TEMPLATE = "hublet://{owner}/{package}"
"""RFC 6570, level 1: simple expansion escapes as `uri_of` does."""

_LONGEST_SLUG = 200
_LONGEST_NAME = 80


def uri_of(slug: str) -> str:
    """The address of `owner/package`."""
    owner, _, package = slug.partition("/")
    return f"{SCHEME}{quote(owner, safe='', errors='replace')}/{quote(package, safe='', errors='replace')}"


def slug_of(uri: str) -> str | None:
    """The `owner/package` that an address stands for; None when it is not of that form."""
    owner, separator, package = uri.removeprefix(SCHEME).partition("/")
    if not uri.startswith(SCHEME) or not (owner and separator and package) or "/" in package:
        return None
    return f"{unquote(owner)}/{unquote(package)}"


def named(found: Iterable[tuple[str, Iterable[Instruction]]]) -> Mapping[str, tuple[str, Instruction]]:
    """(slug, instruction) by the name that it has in the protocol, from each assistant's, in the order of names.

    A name is one line without blanks. What has none is called by its place (`rule-3`), and where two would share one
    the later one gets a number: so names stay while an assistant's instructions stay in their order.
    """
    names: dict[str, tuple[str, Instruction]] = {}
    for slug, instructions in sorted(found, key=lambda item: item[0]):
        counts = {"prompt": 0, "rule": 0}
        begin = _word(slug, _LONGEST_SLUG)
        for each in instructions:
            counts[each.kind] += 1
            wanted = f"{begin}/{_word(each.name, _LONGEST_NAME) or f'{each.kind}-{counts[each.kind]}'}"
            name, number = wanted, 1
            while name in names:
                number += 1
                name = f"{wanted}-{number}"
            names[name] = slug, each
    return names


def _word(text: str, longest: int) -> str:
    return one_line(text, longest).replace(" ", "-")
