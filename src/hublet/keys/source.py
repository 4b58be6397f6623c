"""The contract of a key source: the one place where the key-encryption key (KEK) is kept.

A source that fails raises KeySourceError; hublet never falls back to another source. What a source needs to know again
later, such as a salt and work factors, it gives as `parameters`. The store keeps them in its header, in clear and
authenticated. `hublet.store.unlocking.peek` reads them before anything is unlocked, so that the source can be made with
them.

A key is replaced in two places, the source and the store's database, and a crash may come between the steps:

    stage      the source keeps the new key beside the old one; it is on the disk when `stage` returns
    (commit)   the store is sealed under the new key, in one transaction
    promote    the source drops the old key

Before the commit the old key opens the store, after it the staged one. Opening a store tries both and promotes the
staged key if that one fits, so that no crash leaves anything to repair by hand.

A source that can be written at any time also keeps the number of each store's last commit, by the store's UUID, so that
an older copy of the whole store is noticed when it is put back (store/counting.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hublet.core.envelope import Key
from hublet.core.errors import KeySourceError


class OutOfReach(KeySourceError):
    """The source may well have the key, but this process can't get it: a person or a service manager has to give it."""


class KeySource(Protocol):
    """Transitions: empty → create → full; full → stage → both → promote → full; discard → empty, from anywhere."""

    @property
    def name(self) -> str:
        """The source's name in `keys.source` and in the store's header."""
        ...

    @property
    def parameters(self) -> Mapping[str, str]:
        """What the store's header keeps for this source, in clear; empty when it needs nothing. Never a bare secret."""
        ...

    def describe(self) -> str:
        """Where the key is, for status and doctor."""
        ...

    def load(self) -> Key | None:
        """The key, or None when the source works but holds none yet. Raises KeySourceError, and changes nothing."""
        ...

    def create(self, kek: Key) -> None:
        """Keep a new key; it is durable when this returns. Raises KeySourceError, also when there is a key already."""
        ...

    def successor(self) -> KeySource:
        """The source to stage the next key at: this one, or another of its kind where the parameters change with the
        key."""
        ...

    def stage(self, kek: Key) -> Key:
        """Keep the next key beside the one in force. Returns the key to seal with: `kek`, or the source's own where it
        can't keep one.

        Raises KeySourceError; the key in force is not touched.
        """
        ...

    def staged(self) -> Key | None:
        """The staged key; None when none is kept beside the one in force. Raises KeySourceError."""
        ...

    def promote(self) -> None:
        """Put the staged key in the place of the one in force; harmless when none is staged. Raises KeySourceError."""
        ...

    def discard(self) -> None:
        """Forget every key, staged or not, and every count, where they are the source's to remove. Raises
        KeySourceError."""
        ...

    @property
    def counting(self) -> float | None:
        """The least number of seconds between two counts; None when the source can't keep counts."""
        ...

    def generation(self, store: bytes) -> int | None:
        """The last count of the store with this UUID; None when there is none. Raises KeySourceError."""
        ...

    def count(self, store: bytes, generation: int) -> None:
        """Keep the number of the store's last commit; it is durable when this returns. Does nothing when `counting` is
        None. Nobody is asked to unlock anything. Raises KeySourceError."""
        ...
