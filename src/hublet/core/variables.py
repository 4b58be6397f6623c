"""Continue's template variables, `${{ inputs.X }}` and `${{ secrets.X }}`, found and filled as by its config-yaml
package.

    `${{`, any white space, one run of characters other than `}` and white space, any white space, `}}`

White space is what JavaScript takes for it. A text is filled in one pass: variables in a value are not filled, and
those without a value stay as they are. (core/secretrefs.py finds the secrets that have to be hidden. Its pattern is
narrower on purpose.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

BLANKS = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
WHITE = re.escape(BLANKS)
"""What JavaScript's `\\s` stands for, as the inside of a character class."""

_WHITE = re.compile(f"[{WHITE}]*")
_NAME = re.compile(f"[^}}{WHITE}]+")
INPUTS, SECRETS = "inputs.", "secrets."


def variables(text: str) -> tuple[str, ...]:
    """The names of a text's variables, each once, in order."""
    return tuple(dict.fromkeys(name for _, _, name in _found(text)))


def secrets_of(text: str) -> tuple[str, ...]:
    """The names of the variables that begin with `secrets.`, without that, each once, in order."""
    return tuple(name.removeprefix(SECRETS) for name in variables(text) if name.startswith(SECRETS))


def fill(text: str, values: Mapping[str, str]) -> str:
    """A text in which each variable with a value is replaced by the value."""
    pieces, done = [], 0
    for start, end, name in _found(text):
        if name in values:
            pieces += [text[done:start], values[name]]
            done = end
    return "".join([*pieces, text[done:]]) if pieces else text


def each_string(value: object, change: Callable[[str], str]) -> object:
    """A JSON value in which every text is changed, keys too."""
    match value:
        case str():
            return change(value)
        case list():
            return [each_string(each, change) for each in value]
        case dict():
            return {change(key): each_string(each, change) for key, each in value.items()}
    return value


def strings(value: object) -> Iterator[str]:
    """Every text in a JSON value, in order, a key before its value."""
    match value:
        case str():
            yield value
        case list():
            for each in value:
                yield from strings(each)
        case dict():
            for key, each in value.items():
                yield key
                yield from strings(each)


def _found(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, name) of each variable. Takes linear time: if a run of characters does not end as a name has to, no
    other name can begin within that run."""
    at = text.find("${{")
    while at >= 0:
        name = _NAME.match(text, _end(_WHITE, text, at + 3))
        if name is None:
            after = at + 3
        else:
            closing = _end(_WHITE, text, name.end())
            if text.startswith("}}", closing):
                yield at, closing + 2, name[0]
                after = closing + 2
            else:
                # A `${{` in the last three characters of the run has its name behind the white space.
                after = max(at + 3, name.end() - 3)
        at = text.find("${{", after)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    assert found is not None  # it matches nothing, too
    return found.end()
