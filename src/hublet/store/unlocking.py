"""From a key source's key (the KEK) to the store's own key (the DEK): making a store, unlocking one, recovering one.

The header's row `escrow` lets a recovery code open the store. It is empty when the store got another DEK after the code
was made, which makes the code void.

    escrow    at[8] ‖ the DEK under the recovery code, 81 bytes (envelope.wrap)
                associated data = "hublet/1/escrow" ‖ at ‖ the header's rows that wrapped_dek is bound to
                at = when the code was made, in seconds since 1970, big-endian
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

from hublet.core.envelope import Envelope, Key, check_value, key_size, overhead, salt_size, unwrap, uuid_size, wrap
from hublet.core.errors import KeySourceError, StoreCorrupt, StoreError
from hublet.store import schema
from hublet.store.failures import reporting, reset_hint
from hublet.store.manifest import Manifest

Randomness = Callable[[int], bytes]


class KeySource(Protocol):
    """What the store needs of a key source; the contract is in `hublet.keys.source`, which this folder does not
    import."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, str]: ...

    def describe(self) -> str: ...

    def load(self) -> Key | None: ...

    def create(self, kek: Key) -> None: ...


@runtime_checkable
class Staging(Protocol):
    """What a key source has besides when its key can be replaced."""

    def staged(self) -> Key | None: ...

    def promote(self) -> None: ...


def create_store(path: Path, source: KeySource, randomness: Randomness, now: float) -> None:
    """Make a new, empty store. The key source keeps the key before the store is made, so that no store is without a
    key. Raises KeySourceError, sqlite3.Error, OSError."""
    kek = source.load()
    if kek is None:
        kek = Key(randomness(key_size))
        source.create(kek)
    store = randomness(uuid_size)
    header, envelope = header_under(kek, store, source.name, source.parameters, randomness, now)
    schema.create(path, header.having(manifest=Manifest.of(0, {}).seal(envelope, randomness(salt_size), header.format)))


def header_under(
    kek: Key,
    store: bytes,
    source: str,
    parameters: Mapping[str, str],
    randomness: Randomness,
    now: float,
    before: Mapping[str, bytes] | None = None,
) -> tuple[schema.Header, Envelope]:
    """Make a DEK and wrap it under `kek`. Returns the store's header, still without its manifest, and the envelope of
    the DEK.

    `source` and `parameters` are the key source's. `before` are the rows that tell of the source before it (`former`).
    """
    dek = Key(randomness(key_size))
    header = schema.Header.describing(store, source, parameters, check_value(kek, store), int(now))
    header = schema.Header({**header.rows, **(before or {})})
    wrapped = wrap(kek, dek, header.authenticated(), randomness(salt_size))
    return header.having(wrapped_dek=wrapped), Envelope(dek, store)


def peek(directory: Path) -> schema.Header | None:
    """The header of the store in a data directory, not authenticated; None when there is no store. Changes nothing.

    Raises StoreError or one of its subclasses.
    """
    path = Path(directory).absolute() / schema.database_name
    if not path.exists() and not path.is_symlink():
        return None
    with reporting("the cache can't be read"), closing(schema.connect(path, writable=False)) as connection:
        return schema.read_header(connection)


def unlocked(header: schema.Header, source: KeySource) -> Envelope:
    """The envelope of a store's DEK, unwrapped with the key of `source`. Never makes a key: a new one could not open
    the store. Raises KeySourceError, StoreError, StoreCorrupt."""
    refuse_forgotten(header)
    if header.source != source.name:
        raise KeySourceError(
            f"the cache is sealed with the key source {_shown(header.source)}, the config says {source.name}",
            hint=f"`hublet keys move {source.name}` moves it there; or set keys.source to {_shown(header.source)}",
        )
    if header.parameters != dict(source.parameters):
        raise KeySourceError(f"the key source {source.name} is set up differently than when the cache was made")
    kek = source.load()
    staged = None
    if (kek is None or not fits(header, kek)) and isinstance(source, Staging):
        staged = source.staged()  # a crash between the commit under this key and `promote`
    in_force = staged if staged is not None and fits(header, staged) else kek
    if in_force is None:
        raise KeySourceError(
            f"the cache is there, but its key is not: {source.describe()} holds none",
            hint=f"put the key back, or run `hublet keys recover` with a recovery code; without them {reset_hint}",
        )
    if not fits(header, in_force):
        raise KeySourceError(
            f"the key of {source.describe()} is not this cache's",
            hint=f"put the right key there, or run `hublet keys recover`; without them {reset_hint}",
        )
    envelope = Envelope(unwrap(in_force, header.rows["wrapped_dek"], header.authenticated()), header.store)
    if in_force is staged and isinstance(source, Staging):
        with suppress(KeySourceError):  # harmless: the staged key opens the store the next time too
            source.promote()
    return envelope


def former(header: schema.Header, following: KeySource) -> dict[str, bytes]:
    """The rows for the next header that name the former entry in the keyring, which may still be there when the store
    moves to the source `following`.

    Only the keyring needs them: a key file is found by its path, and the other sources leave nothing behind.
    """
    if header.source == "keyring":
        rows = {"was": b"keyring", "was.account": header.parameters.get("account", "").encode()}
    else:
        rows = {name: header.rows[name] for name in ("was", "was.account") if name in header.rows}
    still = following.name == "keyring" and rows.get("was.account") == following.parameters.get("account", "").encode()
    return {} if still else rows


def fits(header: schema.Header, kek: Key) -> bool:
    """Whether the header's DEK is wrapped under this KEK."""
    return hmac.compare_digest(check_value(kek, header.store), header.rows["check"])


def refuse_forgotten(header: schema.Header) -> None:
    """Raises StoreError when the store's data key was destroyed on purpose (`hublet forget`)."""
    if not any(header.rows["wrapped_dek"]):
        raise StoreError(
            "the cache was forgotten: its key is destroyed, and what is left of it opens for nobody",
            hint="`hublet forget` removes what is left",
        )


def escrowed(header: schema.Header, envelope: Envelope, code: Key, randomness: Randomness, now: float) -> bytes:
    """The value of the header's row `escrow` for a recovery code."""
    at = int(now).to_bytes(8, "big")
    return at + envelope.wrapped(code, _associated(header, at), randomness(salt_size))


def recovered(header: schema.Header, code: Key) -> Envelope:
    """The envelope of a store's DEK, unwrapped with the recovery code instead of a key source's key. Raises
    KeySourceError, StoreError, StoreCorrupt."""
    refuse_forgotten(header)
    row = header.rows.get("escrow")
    if row is None:
        raise KeySourceError("no recovery code was made for this cache", hint=f"without its key {reset_hint}")
    if not row:
        raise KeySourceError(
            "the recovery code is void: the cache got another key after it was made",
            hint=f"it opens only copies of the cache from before; without the key {reset_hint}",
        )
    if len(row) != 8 + overhead + key_size:
        raise StoreCorrupt("the cache's row for the recovery code is damaged", hint=reset_hint)
    try:
        return Envelope(unwrap(code, row[8:], _associated(header, row[:8])), header.store)
    except StoreError:
        raise KeySourceError(
            "the recovery code does not open this cache", hint="only the last one that was made for it does"
        ) from None


def escrow_made_at(header: schema.Header) -> int | None:
    """When the store's recovery code was made, in seconds since 1970; None without one, 0 when it is void."""
    row = header.rows.get("escrow")
    return None if row is None else int.from_bytes(row[:8], "big")


def _associated(header: schema.Header, at: bytes) -> bytes:
    return b"hublet/1/escrow" + at + header.authenticated()


def _shown(name: str) -> str:
    return name if name.isascii() and name.isprintable() and len(name) < 40 else "(unreadable)"
