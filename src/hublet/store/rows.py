"""Records as the store takes and gives them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A record that opened: exactly what was last committed under this id."""

    kind: str
    id: bytes
    plaintext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Corrupt:
    """A record that does not open, but belongs here by the manifest. `kind` is what the file says, unproved."""

    id: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Unopened:
    """A record that is there as it was last written, left shut. `kind` is what the file says, unproved."""

    id: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Write:
    """A record to be put under its id, in place of the one that may be there."""

    kind: str
    id: bytes
    plaintext: bytes = field(repr=False)


def drained(records: list[Row | Corrupt | Unopened]) -> Iterator[Row | Corrupt | Unopened]:
    """The last first; each is let go as it is taken."""
    while records:
        yield records.pop()
