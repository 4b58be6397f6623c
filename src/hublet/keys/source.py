"""The contract of a key source: the one place where the key-encryption key is kept.

A source that fails says so with KeySourceError; nothing ever falls back to another one. What a source needs to know
again later (a salt, work factors) it gives as `parameters`: the store keeps them in its header, in clear and
authenticated, and `hublet.store.schema.read_header` gives them back before anything is unlocked, so that the source can
be made with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hublet.core.envelope import Key


class KeySource(Protocol):
    """Transitions: empty (load gives None) → create → full (load gives that key, in every later process too)."""

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
