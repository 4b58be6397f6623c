"""From a key source to the store's own key: making a store, and unlocking one that is there."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from hublet.core.envelope import Envelope, Key, check_value, key_size, salt_size, unwrap, uuid_size, wrap
from hublet.core.errors import KeySourceError
from hublet.store import schema
from hublet.store.failures import reset_hint
from hublet.store.manifest import Manifest


class KeySource(Protocol):
    """What the store needs of a source: the contract of `hublet.keys.source`, which this folder does not import."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, str]: ...

    def describe(self) -> str: ...

    def load(self) -> Key | None: ...

    def create(self, kek: Key) -> None: ...


def create_store(path: Path, source: KeySource, randomness: Callable[[int], bytes]) -> None:
    """A new, empty store. The key is durable before the store is there, so there is no store without one."""
    kek = source.load()
    if kek is None:
        kek = Key(randomness(key_size))
        source.create(kek)
    store, dek = randomness(uuid_size), Key(randomness(key_size))
    header = schema.Header.describing(store, source.name, source.parameters, check_value(kek, store))
    schema.create(
        path,
        header.having(
            wrapped_dek=wrap(kek, dek, header.authenticated(), randomness(salt_size)),
            manifest=Manifest.of(0, {}).seal(Envelope(dek, store), randomness(salt_size)),
        ),
    )


def unlocked(header: schema.Header, source: KeySource) -> Envelope:
    """The envelope of a store's DEK. Never makes a key: a new one could not open what is there."""
    if header.source != source.name:
        raise KeySourceError(
            f"the cache is sealed with the key source {_shown(header.source)}, the config says {source.name}",
            hint=f"set keys.source to {_shown(header.source)}",
        )
    if header.parameters != dict(source.parameters):
        raise KeySourceError(f"the key source {source.name} is set up differently than when the cache was made")
    kek = source.load()
    if kek is None:
        raise KeySourceError(
            f"the cache is there, but its key is not: {source.describe()} holds none",
            hint=f"put the key back; without it {reset_hint}",
        )
    if not hmac.compare_digest(check_value(kek, header.store), header.rows["check"]):
        raise KeySourceError(
            f"the key of {source.describe()} is not this cache's",
            hint=f"put the right key there; without it {reset_hint}",
        )
    return Envelope(unwrap(kek, header.rows["wrapped_dek"], header.authenticated()), header.store)


def _shown(name: str) -> str:
    return name if name.isascii() and name.isprintable() and len(name) < 40 else "(unreadable)"
