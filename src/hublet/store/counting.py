"""The number of a store's last commit, kept at the key source, so that an older copy of the whole store is noticed.

The manifest's generation counts the commits. An older copy has a smaller generation, but nothing in the copy tells that
it is an older one; only a count outside of it does. The count is written after the commit, so that a crash between the
two leaves a store that is ahead of its count, which is harmless. A store that is behind its count is an older one that
was put back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from hublet.core.errors import KeySourceError

log = logging.getLogger("hublet.store")


@runtime_checkable
class Counting(Protocol):
    """The part of a key source that can hold the count; the contract is in `hublet.keys.source`."""

    @property
    def counting(self) -> float | None: ...

    def generation(self, store: bytes) -> int | None: ...

    def count(self, store: bytes, generation: int) -> None: ...


class Counter:
    """The count of one store at its key source. Calls block; they may come from any thread.

    Transitions: (made) → read → (reached → written)* → finished. When the source fails, `problem` says why, and writing
    is tried again with the next count: hublet goes on serving.
    """

    def __init__(self, source: object, store: bytes, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._source = source if isinstance(source, Counting) and source.counting is not None else None
        self._pause = self._source.counting or 0.0 if self._source is not None else 0.0
        self._store, self._monotonic = store, monotonic
        self._reached = self._written = 0
        self._written_at = monotonic()
        self._one_at_a_time = threading.Lock()
        self.problem = ""

    @property
    def possible(self) -> bool:
        """Whether the source can hold a count."""
        return self._source is not None

    def read(self) -> int:
        """The last count; 0 when none was written yet, or it can't be read. Never raises: a count that can't be read
        does not prove that the store is an older copy, and must not keep it from being opened."""
        if self._source is None:
            return 0
        try:
            self._written = self._source.generation(self._store) or 0
        except KeySourceError as error:
            self._failed(error)
        return self._written

    def reached(self, generation: int) -> None:
        """A commit of this generation is on the disk. The count is written down at once, or by `write` where the source
        wants a pause between two counts."""
        self._reached = max(self._reached, generation)
        if self._pause == 0.0:
            self.finish()

    @property
    def due(self) -> bool:
        """Whether `write` has something to do."""
        return self._behind and self._monotonic() - self._written_at >= self._pause

    def write(self) -> None:
        """Write the count down if it has changed and the source's pause since the last time is over."""
        if self.due:
            self.finish()

    def finish(self) -> None:
        """Write the count down now, if it has changed."""
        with self._one_at_a_time:
            if self._source is None or not self._behind:
                return
            self._written_at = self._monotonic()
            try:
                self._source.count(self._store, self._reached)
            except KeySourceError as error:
                self._failed(error)
                return
            if self._written == 0:
                log.info("the cache's commits are counted from now on, beside its key")
            self._written, self.problem = self._reached, ""

    @property
    def _behind(self) -> bool:
        return self._source is not None and self._reached > self._written

    def _failed(self, error: KeySourceError) -> None:
        if not self.problem:
            log.warning("the count of the cache's commits can't be kept: %s", error.message)
        self.problem = error.message
