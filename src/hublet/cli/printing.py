"""Showing what came from elsewhere on a terminal: as text, whatever it is; and times in one unit."""

from __future__ import annotations

_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def printable(text: str) -> str:
    """Text for a terminal: whatever could move the cursor or turn the writing round is shown as a mark."""

    def hostile(c: str) -> bool:
        return (ord(c) < 0x20 and c != "\n") or 0x7F <= ord(c) < 0xA0 or c in _TURNING

    return "".join("\ufffd" if hostile(c) else c for c in text)


def together(lines: list[tuple[str, str]], *, most: int = 3) -> list[str]:
    """`what: reason` for each pair, in order; more than `most` with one reason become one line that counts them."""
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


def duration(seconds: float | None) -> str:
    """`3 s`, `12 min`, `5 h`, `2 d`: one unit, rounded down."""
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
