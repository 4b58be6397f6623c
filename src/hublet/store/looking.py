"""Reading a store without opening it as a hublet does: nothing is written, not even our pid into the lock file."""

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
    """A key source that is only read: a staged key may open the store, but stays staged."""

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

    def create(self, kek: Key) -> None:  # noqa: ARG002  the contract has it
        raise AssertionError("whoever only looks makes no key")

    def staged(self) -> Key | None:
        return self._source.staged() if isinstance(self._source, Staging) else None

    def promote(self) -> None:
        """Do nothing: promoting the key is left to the hublet that opens the store."""


@contextmanager
def look(directory: Path, source_of: Callable[[schema.Header], KeySource], *, now: float) -> Iterator[Store]:
    """The store of a data directory, for reading only. `source_of` gives the key source for the store's header. No
    hublet can open the store meanwhile.

    Raises StoreLocked when a hublet has the store open, StoreError when there is none, and else like `Store.open`.
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
    """Hold a shared lock on the lock file, which keeps hublets out and other readers not. Raises StoreLocked,
    StoreError."""
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
    """A lock that does nothing, for a Store whose lock is held by `_shared`."""

    def __init__(self) -> None:
        super().__init__(-1)
