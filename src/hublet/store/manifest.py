"""The manifest: one sealed value that says what the store holds, written in the same transaction as every commit.

    generation[8]              counts the commits
    SHA-256(ids)[32]           over all ids, sorted
    salt[:8] of each record    in the order of the ids

Each record proves by itself that it was sealed here under its own id. It does not prove that no record is missing, nor
that it is the version written last. The manifest proves both. It can also tell which record is wrong, so that damage to
one does not lose all of them; a hash over everything could only tell that something is wrong.

Eight bytes of the salt are enough to identify a version of a record: without the DEK nobody can seal a record with a
salt of their choice. They can only put back a version that we sealed, and two versions of one record agree in eight
random bytes with a probability of 2^-64. The tag is not needed: the salt determines the key, and under that key only
the one ciphertext that we made opens.

A commit computes the manifest from the marks that the store has in memory. They were verified when the store was loaded
and have been updated by its only writer since, so a record that was changed in the file meanwhile is not accepted by
the next commit.
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
# The id of the manifest is all zeros. A record's id is an HMAC, which is never that.
_kind, _id = "manifest", bytes(id_size)
_fixed = 8 + 32


@dataclass(frozen=True, slots=True)
class Manifest:
    """`ids` is the hash over the sorted ids; `marks` has the first eight bytes of each record's salt, in their
    order."""

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
        """Raises StoreCorrupt or StoreFormat when `sealed` is not a manifest that was sealed with this store's DEK."""
        plain = envelope.open(_kind_of(format), _id, sealed)
        if len(plain) < _fixed or (len(plain) - _fixed) % mark_size:
            raise StoreCorrupt("the cache's manifest has a length that can't be", hint=reset_hint)
        return cls(int.from_bytes(plain[:8], "big"), plain[8:_fixed], plain[_fixed:])

    def differing(self, found: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """The ids of the records that are not the version written last, each with the mark that it should have. `found`
        has the marks of the records that are there, by id.

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
    """Raises StoreCorrupt when one of the records that differ is not damaged, but is an older version or another record
    of this store.

    `expected` is the result of `differing` for the marks `found`.
    """
    for record in records:
        if record.id not in expected:
            continue
        if isinstance(record, Row):
            raise StoreCorrupt("an older version of a record was put back into the cache", hint=reset_hint)
        if found[record.id] in expected.values():
            raise StoreCorrupt("records of the cache were swapped", hint=reset_hint)


def _kind_of(format: int) -> str:
    """The kind that a manifest is sealed under. It names the format, so that a manifest of one format can't be passed
    off as one of another."""
    return _kind if format == 1 else f"{_kind}/{format}"
