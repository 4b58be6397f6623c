"""Records as the store takes them and gives them back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A record that opened: exactly what was last committed under its id."""

    kind: str
    id: bytes
    plaintext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Corrupt:
    """A record that does not open, although the manifest has its id. `kind` is what the file says, unverified."""

    id: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Unopened:
    """A record that is there as it was last written, but was not opened. `kind` is what the file says, unverified."""

    id: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Write:
    """A record to be written under its id, in place of one that may be there."""

    kind: str
    id: bytes
    plaintext: bytes = field(repr=False)


def drained(records: list[Row | Corrupt | Unopened]) -> Iterator[Row | Corrupt | Unopened]:
    """The records, the last first. Each is removed from the list when it is taken, so that its memory can be freed."""
    while records:
        yield records.pop()
