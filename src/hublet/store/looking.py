"""Looking into a store without being the one hublet that has it: nothing is written, not even who has the lock."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hublet.core.envelope import Key
from hublet.core.errors import StoreLocked
from hublet.store import schema
from hublet.store.counting import Counter
from hublet.store.failures import reporting
from hublet.store.lock import Lock, lock_name
from hublet.store.manifest import Manifest
from hublet.store.sealed import Store
from hublet.store.unlocking import KeySource, Staging, unlocked


class _Reading:
    """A key source that keeps what it has: a staged key opens the store, and stays staged."""

    def __init__(self, source: KeySource) -> None:
        self._source = source

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def parameters(self) -> Mapping[str, str]:
        return self._source.parameters

    def describe(self) -> str:
        return self._source.describe()

    def load(self) -> Key | None:
        return self._source.load()

    def create(self, kek: Key) -> None:  # noqa: ARG002  the contract's
        raise AssertionError("whoever only looks makes no key")

    def staged(self) -> Key | None:
        return self._source.staged() if isinstance(self._source, Staging) else None

    def promote(self) -> None:
        """Left to the hublet that opens the store."""


@contextmanager
def look(directory: Path, source_of: Callable[[schema.Header], KeySource], *, now: float) -> Iterator[Store]:
    """The store of a data directory, to be read and not committed to, with the key source that `source_of` names for
    its header; no hublet can open it meanwhile.

    Raises StoreLocked when one has it open, else like `Store.open`; StoreError when there is no store.
    """
    path = Path(directory).absolute() / schema.database_name
    with _shared(path.with_name(lock_name)), reporting("the cache can't be read"):
        connection = schema.connect(path, writable=False, alone=True)
        try:
            header = schema.read_header(connection)
            source = source_of(header)
            envelope = unlocked(header, _Reading(source))
            manifest = Manifest.open(envelope, header.rows["manifest"], header.format)
            store = Store(path, _Unheld(), connection, header, envelope, manifest, os.urandom)
            store.counter = Counter(source, header.store)
            store.compare(store.counter, now)
            yield store
        finally:
            connection.close()


@contextmanager
def _shared(lock: Path) -> Iterator[None]:
    """Keep hublets out while looking. Raises StoreLocked, StoreError."""
    with reporting(f"the lock {lock} can't be taken"):
        descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).strip()
            named = f" (process {int(holder)})" if holder.isdigit() else ""
            raise StoreLocked(
                f"another hublet{named} has the cache {lock.parent} open", hint="use that one, or stop it first"
            ) from None
        yield
    finally:
        os.close(descriptor)


class _Unheld(Lock):
    """For a Store whose lock somebody else holds for it."""

    def __init__(self) -> None:
        super().__init__(-1)
