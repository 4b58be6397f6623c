"""One record, from its plaintext to its row and back."""

from __future__ import annotations

from collections.abc import Callable

from hublet.core.envelope import Envelope, pad, salt_size, unpad
from hublet.core.errors import StoreError
from hublet.store.manifest import mark_size
from hublet.store.rows import Corrupt, Row, Write

padded_kinds = frozenset({"secret"})
"""Kinds whose length alone would tell something: a record of theirs is filled up to a multiple of 256 bytes."""

head_size = 1 + mark_size
"""So many bytes of a sealed record are enough for `mark_of`."""


def mark_of(sealed: bytes) -> bytes:
    """What a write is known by in the manifest."""
    return sealed[1:head_size]


def sealed_row(
    write: Write, envelope: Envelope, marks: dict[bytes, bytes], randomness: Callable[[int], bytes]
) -> tuple[bytes, str, bytes]:
    """The row of a record, whose mark is added to `marks`."""
    plaintext = pad(write.plaintext) if write.kind in padded_kinds else write.plaintext
    sealed = envelope.seal(write.kind, write.id, plaintext, randomness(salt_size))
    marks[write.id] = mark_of(sealed)
    return write.id, write.kind, sealed


def opened_row(id: bytes, kind: str, sealed: bytes, envelope: Envelope) -> Row | Corrupt:
    try:
        plaintext = envelope.open(kind, id, sealed)
        return Row(kind, id, unpad(plaintext) if kind in padded_kinds else plaintext)
    except StoreError:
        return Corrupt(id, kind)
