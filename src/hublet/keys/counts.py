"""How sources keep the counts of commits, as text: for each store a line with its UUID in hex and its last commit's
number."""

from __future__ import annotations

_most = 32
"""How many stores are counted. With more, those that were counted longest ago are left out."""
_digits = 20


def read(text: str) -> dict[bytes, int]:
    """The counts by store, the one that was counted last at the end. Lines that are not a count are skipped."""
    found: dict[bytes, int] = {}
    for line in text.splitlines():
        store, _, number = line.partition(" ")
        if number.isascii() and number.isdecimal() and len(number) <= _digits:
            try:
                found[bytes.fromhex(store)] = int(number)
            except ValueError:
                continue
    return found


def having(counts: dict[bytes, int], store: bytes, generation: int) -> str:
    """The text of these counts, with `generation` as the count of `store`."""
    others = [(other, number) for other, number in counts.items() if other != store]
    return "".join(f"{other.hex()} {number}\n" for other, number in [*others[1 - _most :], (store, generation)])


size_limit = _most * (2 * 16 + 1 + _digits + 1)
