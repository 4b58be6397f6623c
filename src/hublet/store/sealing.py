"""One record, from its plaintext to its row in the database and back."""

from __future__ import annotations

from collections.abc import Callable

from hublet.core.envelope import Envelope, pad, salt_size, unpad
from hublet.core.errors import StoreError
from hublet.store.manifest import mark_size
from hublet.store.rows import Corrupt, Row, Write

padded_kinds = frozenset({"secret"})
"""Kinds of records whose length alone would tell something. Their plaintext is padded to a multiple of 256 bytes."""

head_size = 1 + mark_size
"""How many bytes from the beginning of a sealed record `mark_of` needs."""


def mark_of(sealed: bytes) -> bytes:
    """The first eight bytes of a sealed record's salt: what the manifest knows this version of the record by."""
    return sealed[1:head_size]


def sealed_row(
    write: Write, envelope: Envelope, marks: dict[bytes, bytes], randomness: Callable[[int], bytes]
) -> tuple[bytes, str, bytes]:
    """Seal a record. Returns its row (id, kind, sealed) and adds its mark to `marks`."""
    plaintext = pad(write.plaintext) if write.kind in padded_kinds else write.plaintext
    sealed = envelope.seal(write.kind, write.id, plaintext, randomness(salt_size))
    marks[write.id] = mark_of(sealed)
    return write.id, write.kind, sealed


def opened_row(id: bytes, kind: str, sealed: bytes, envelope: Envelope) -> Row | Corrupt:
    """The inverse of `sealed_row`; Corrupt when the record does not open."""
    try:
        plaintext = envelope.open(kind, id, sealed)
        return Row(kind, id, unpad(plaintext) if kind in padded_kinds else plaintext)
    except StoreError:
        return Corrupt(id, kind)
