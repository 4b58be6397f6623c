"""Writing YAML that every parser reads alike: by the rules of 1.2 and of 1.1, in npm's `yaml`, PyYAML and others.

It is written in block style, with two spaces for each level, and keys in the order in which they are given. A text is
written plain only if no set of rules could take it for something else (`on`, `012`, `1e3`, `1:30`, `~` and dates are
quoted). A text with line ends becomes a literal block if its lines can stand as they are. All others are quoted with
the escapes of JSON, which YAML has as well. The same value always gives the same bytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence

_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf", "nil", "none"})
_FIRST = re.compile(r"[^\s\-?:,\[\]{}#&*!|>'\"%@`<=~.+0-9]")
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+){2,}")
_BROKEN = re.compile(r":(?:\s|\Z)|\s#|\s\Z")
_ODD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\xa0\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")
"""Characters that are always escaped, since parsers differ on them: controls, other line ends, a byte order mark, half
of a surrogate pair."""
_LONGEST_KEY = 1000
"""The longest key that is written. A key on one line with its colon may have 1024 characters (YAML 1.2, section
7.4.2)."""


def dump(value: object) -> str:
    """The YAML text of a value of JSON's types, with a line end at its end. Infinite numbers and NaN can be written,
    too.

    Raises TypeError for a value of another type, ValueError for a key that is too long and for half a surrogate pair.
    """
    return "".join(_node(value, 0, root=True)).removeprefix("\n").removeprefix(" ") + "\n"


def scalar(value: object) -> str:
    """A scalar on one line, as it stands in block style. Raises TypeError for a list or a mapping."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _number(value)
        case str():
            return value if _is_plain(value) else _quoted(value)
    raise TypeError(f"YAML is not written for {type(value).__name__}")


def _node(value: object, depth: int, *, root: bool = False, in_list: bool = False) -> Iterator[str]:
    """The text of a value behind `key:` or `-`, with the space or the line end before it, in pieces."""
    if isinstance(value, Mapping) and value:
        for index, (key, child) in enumerate(value.items()):
            # The first key of an element stands on the same line as the dash of the element.
            yield " " if in_list and index == 0 else "\n" + "  " * depth
            yield f"{_key(key)}:"
            yield from _node(child, depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for index, child in enumerate(value):
            yield " -" if in_list and index == 0 else "\n" + "  " * depth + "-"
            yield from _node(child, depth + 1, in_list=True)
    elif isinstance(value, Mapping):
        yield " {}"
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield " []"
    elif isinstance(value, str) and not root and _is_block(value):
        yield from _block(value, depth)
    else:
        yield f" {scalar(value)}"


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError("a key has to be a text")
    text = scalar(key)
    if len(text) > _LONGEST_KEY:
        raise ValueError("a key is too long")
    return text


def _is_plain(text: str) -> bool:
    if _VERSION.fullmatch(text):
        return True
    return (
        _FIRST.match(text) is not None
        and text.lower() not in _WORDS
        and "\n" not in text
        and "\t" not in text
        and _BROKEN.search(text) is None
        and _ODD.search(text) is None
    )


def _is_block(text: str) -> bool:
    return (
        "\n" in text.rstrip("\n")
        and not text.startswith((" ", "\t", "\n"))
        and not text.endswith("\n\n")
        and _ODD.search(text) is None
        # Not every parser tells a line of blanks from indentation.
        and not any(line and not line.strip() for line in text.split("\n"))
    )


def _block(text: str, depth: int) -> Iterator[str]:
    yield " |" if text.endswith("\n") else " |-"
    for line in text.removesuffix("\n").split("\n"):
        yield "\n" + "  " * depth + line if line else "\n"


def _quoted(text: str) -> str:
    return _ODD.sub(lambda match: _escape(match[0]), json.dumps(text, ensure_ascii=False))


def _escape(character: str) -> str:
    number = ord(character)
    if 0xD800 <= number <= 0xDFFF:
        raise ValueError("a text holds half a character")
    return f"\\u{number:04x}"


def _number(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    mantissa, mark, exponent = repr(value).partition("e")
    # By the rules of 1.1 a number with an exponent needs a decimal point.
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{mark}{exponent}"
