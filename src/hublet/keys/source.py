"""The contract of a key source: the one place where the key-encryption key is kept.

A source that fails says so with KeySourceError; nothing ever falls back to another one. What a source needs to know
again later (a salt, work factors) it gives as `parameters`: the store keeps them in its header, in clear and
authenticated, and `hublet.store.unlocking.peek` gives them back before anything is unlocked, so that the source can
be made with them.

Replacing a key is two steps in two places, the source and the store's database, and a crash may come between them:

    stage      the source keeps the new key beside the old one, on disk when it returns
    (commit)   the store is sealed under the new key, in one transaction
    promote    the source drops the old key

Before the commit the old key opens the store, after it the staged one. Whoever opens a store tries both and then
promotes the one that opened it, so a crash anywhere leaves nothing to repair by hand.

A source that can be written at any time also keeps the number of the store's last commit, by the store's UUID, so that
an older copy of the whole store is noticed when it is put back (store/counting.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hublet.core.envelope import Key


class KeySource(Protocol):
    """Transitions: empty → create → full; full → stage → both → promote → full; discard → empty, from anywhere."""

    @property
    def name(self) -> str:
        """What `keys.source` calls it; part of the store's header."""
        ...

    @property
    def parameters(self) -> Mapping[str, str]:
        """What the store's header keeps for this source; empty when there is nothing to know. Never secret."""
        ...

    def describe(self) -> str:
        """Where the key is, for status and doctor."""
        ...

    def load(self) -> Key | None:
        """The key, or None when the source works but holds none yet. Raises KeySourceError, and changes nothing."""
        ...

    def create(self, kek: Key) -> None:
        """Keeps a new key durably before it returns. Raises KeySourceError, also when there is a key already."""
        ...

    def successor(self) -> KeySource:
        """Where the next key is to be staged: this source, or one of its kind when the parameters change with it."""
        ...

    def stage(self, kek: Key) -> Key:
        """Keeps a key that is to follow, and gives the one to seal with: `kek`, or what the source was given instead.

        Raises KeySourceError; the key in force is untouched.
        """
        ...

    def staged(self) -> Key | None:
        """The key that is to follow, if one is kept apart. Raises KeySourceError."""
        ...

    def promote(self) -> None:
        """The staged key takes the old one's place; harmless when none is staged. Raises KeySourceError."""
        ...

    def discard(self) -> None:
        """Forgets every key, staged or not, and every count, as far as they are the source's to forget.

        Raises KeySourceError."""
        ...

    @property
    def counting(self) -> float | None:
        """The least number of seconds between two counts; None where the source can't hold any."""
        ...

    def generation(self, store: bytes) -> int | None:
        """The last count of the store of this UUID; None when there is none. Raises KeySourceError."""
        ...

    def count(self, store: bytes, generation: int) -> None:
        """Keeps the number of the store's last commit, durably before it returns; without `counting` nothing is done.

        Asks nobody to unlock anything. Raises KeySourceError."""
        ...
