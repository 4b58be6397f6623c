"""The manifest: what the store holds, as one sealed value that is written in the same transaction as every commit.

    generation[8]              counts the commits
    SHA-256(ids)[32]           over all ids, sorted
    salt[:8] of each record    in the order of the ids

Each record proves by itself that it was sealed here under its own id, not that it is still there, nor that it is the
last one written. That is what the manifest adds, and it can say which record is off, so that damage to one is not the
loss of all: a hash over everything could only say that something is.

Why eight bytes of the salt name a write: nobody without the DEK can seal a record with a salt of his choice, he can
only put back one that we sealed, and two of those for one id agree in eight random bytes once in 2^64. The tag need
not be in it: a salt gives the key, and under that key only the one body that we sealed opens.

A commit computes it from what the store has in memory, verified at load and kept up since by the only writer: a
record that was changed in the file meanwhile is not blessed by the next commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256

from hublet.core.envelope import Envelope, id_size
from hublet.core.errors import StoreCorrupt
from hublet.core.values import dataclass
from hublet.store.failures import reset_hint
from hublet.store.rows import Corrupt, Row, Unopened

mark_size = 8
# No HMAC is all zeros, so no record's id is this one.
_kind, _id = "manifest", bytes(id_size)
_fixed = 8 + 32


@dataclass(frozen=True, slots=True)
class Manifest:
    """`marks` is the first eight bytes of each record's salt, by id."""

    generation: int
    ids: bytes
    marks: bytes

    @classmethod
    def of(cls, generation: int, marks: Mapping[bytes, bytes]) -> Manifest:
        order = sorted(marks)
        return cls(generation, sha256(b"".join(order)).digest(), b"".join([marks[id] for id in order]))

    def seal(self, envelope: Envelope, salt: bytes, format: int) -> bytes:
        return envelope.seal(_kind_of(format), _id, self.generation.to_bytes(8, "big") + self.ids + self.marks, salt)

    @classmethod
    def open(cls, envelope: Envelope, sealed: bytes, format: int) -> Manifest:
        """Raises StoreCorrupt or StoreFormat when it is not one that this store's DEK sealed."""
        plain = envelope.open(_kind_of(format), _id, sealed)
        if len(plain) < _fixed or (len(plain) - _fixed) % mark_size:
            raise StoreCorrupt("the cache's manifest has a length that can't be", hint=reset_hint)
        return cls(int.from_bytes(plain[:8], "big"), plain[8:_fixed], plain[_fixed:])

    def differing(self, found: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """The ids whose record is not the one written last, each with the mark that it should have.

        Raises StoreCorrupt when a record is missing or there is one too many.
        """
        order = sorted(found)
        if len(order) * mark_size != len(self.marks) or sha256(b"".join(order)).digest() != self.ids:
            raise StoreCorrupt("records of the cache were removed, added or renamed", hint=reset_hint)
        if b"".join([found[id] for id in order]) == self.marks:
            return {}
        expected = {id: self.marks[at * mark_size : (at + 1) * mark_size] for at, id in enumerate(order)}
        return {id: mark for id, mark in expected.items() if mark != found[id]}


def refuse_replaced(
    records: Iterable[Row | Corrupt | Unopened], found: Mapping[bytes, bytes], expected: Mapping[bytes, bytes]
) -> None:
    """Raises StoreCorrupt when one of the records that differ was not damaged but replaced by another of this store.

    `expected` is what `differing` gave for the marks `found`.
    """
    for record in records:
        if record.id not in expected:
            continue
        if isinstance(record, Row):
            raise StoreCorrupt("an older version of a record was put back into the cache", hint=reset_hint)
        if found[record.id] in expected.values():
            raise StoreCorrupt("records of the cache were swapped", hint=reset_hint)


def _kind_of(format: int) -> str:
    """What a manifest is sealed as: it can't be passed off as that of another format."""
    return _kind if format == 1 else f"{_kind}/{format}"
