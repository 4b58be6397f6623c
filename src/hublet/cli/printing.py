"""Printing texts from elsewhere safely on a terminal, and in columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from hublet.core.units import duration as duration

_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_ESCAPED = {ord(c): f"\\u{ord(c):04x}" for c in (*map(chr, range(0x7F, 0xA0)), *_TURNING)}
"""JSON's escapes (RFC 8259 section 7) of the characters that `printable` replaces, except those that orjson escapes."""


def printable(text: str) -> str:
    """The text with U+FFFD in place of control characters and of those that change the direction of writing."""

    def hostile(c: str) -> bool:
        return (ord(c) < 0x20 and c != "\n") or 0x7F <= ord(c) < 0xA0 or c in _TURNING

    return "".join("\ufffd" if hostile(c) else c for c in text)


def json_of(value: object, *, indented: bool = True) -> str:
    """A value as JSON that is safe on a terminal: control characters, and those that change the direction of writing,
    are escaped. A program reads the same value from it."""
    import orjson

    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indented else None).decode().translate(_ESCAPED)


def together(lines: list[tuple[str, str]], *, most: int = 3) -> list[str]:
    """Lines `what: reason` for the pairs. More than `most` of them with the same reason share a line that counts
    them."""
    whats: dict[str, list[str]] = {}
    for what, reason in lines:
        whats.setdefault(reason, []).append(what)
    return [
        line
        for reason, found in whats.items()
        for line in (
            [f"{what}: {reason}" for what in found]
            if len(found) <= most
            else [f"{', '.join(found[:most])} and {len(found) - most} more: {reason}"]
        )
    ]


def in_columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of the same length as lines, each column as wide as its widest cell. Cells are made printable and one line.

    Used for terminals and pipes alike, where loading rich would take too long.
    """
    cells = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _width(text: str) -> int:
    """How many cells of a terminal a text takes: none for a combining character, two for a wide one (Unicode UAX
    11)."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)
