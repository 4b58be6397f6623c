"""Durations and sizes as people write them: `90s`, `15m`, `12h`, `7d`; `512B`, `256KiB`, `64MiB`, `1GiB`."""

from __future__ import annotations

_seconds = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_bytes = {"GiB": 1024**3, "MiB": 1024**2, "KiB": 1024, "B": 1}


def parse_duration(text: str) -> int:
    """A duration in seconds. Raises ValueError with a sentence that says what is wrong. A number without a unit is
    refused: its unit would be a guess."""
    if parse_count(text) is not None:
        raise ValueError(f"a duration needs a unit: {text}s or {text}m")
    count = parse_count(text[:-1])
    if count is None or text[-1:] not in _seconds:
        raise ValueError("a duration is a whole number and one of s, m, h, d, such as 90s, 15m, 12h or 7d")
    return count * _seconds[text[-1:]]


def parse_size(text: str) -> int:
    """A size in bytes. Raises ValueError with a sentence that says what is wrong. MB is refused: people differ on what
    it means."""
    digits = text.rstrip("BGKMi")
    count = parse_count(digits)
    if count is None or text[len(digits) :] not in _bytes:
        raise ValueError("a size is a whole number and one of B, KiB, MiB, GiB, such as 256KiB or 64MiB")
    return count * _bytes[text[len(digits) :]]


def parse_count(text: str) -> int | None:
    """A whole number of at most ten digits; None for any other text. A leading zero is refused: some programs take 010
    for eight."""
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or (text[0] == "0" and text != "0"):
        return None
    return int(text)


def duration(seconds: float | None) -> str:
    """A duration for people, in one unit and rounded down: `3 s`, `12 min`, `5 h`, `2 d`. Empty for None."""
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
