"""URIs of assistants, and names of their prompts and rules, in MCP; safe whatever characters the Hub's names have.

hublet://OWNER/PACKAGE      an assistant; all but the unreserved characters (RFC 3986 section 2.3) are written as %XX
OWNER/PACKAGE/NAME          one of its prompts or rules
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

from hublet.core.instructions import Instruction, one_line

SCHEME = "hublet://"
TEMPLATE = "hublet://{owner}/{package}"
"""A template of RFC 6570, level 1, whose simple expansion escapes the same characters as `uri_of`."""

_LONGEST_SLUG = 200
_LONGEST_NAME = 80


def uri_of(slug: str) -> str:
    """The URI of `owner/package`."""
    owner, _, package = slug.partition("/")
    return f"{SCHEME}{quote(owner, safe='', errors='replace')}/{quote(package, safe='', errors='replace')}"


def slug_of(uri: str) -> str | None:
    """The `owner/package` that a URI stands for; None when it is not of that form."""
    owner, separator, package = uri.removeprefix(SCHEME).partition("/")
    if not uri.startswith(SCHEME) or not (owner and separator and package) or "/" in package:
        return None
    return f"{unquote(owner)}/{unquote(package)}"


def named(found: Iterable[tuple[str, Iterable[Instruction]]]) -> Mapping[str, tuple[str, Instruction]]:
    """The instructions of all assistants: (slug, instruction) by protocol name, assistants sorted by slug.

    A name is one line without blanks. An instruction that has no name is named by its position (`rule-3`). When two
    would have the same name the later one gets a number. So names stay the same as long as the order of an
    assistant's instructions does.
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
