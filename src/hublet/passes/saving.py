"""Saving what is known. What can't be written is kept in memory and tried again, with since when and why it failed.

A disk that is full, read-only or broken doesn't stop the serving. If the store was deleted, replaced or damaged while
hublet runs, it is made anew from what is in memory; what lies in its place is moved aside first.
"""

from __future__ import annotations

import logging
from dataclasses import field
from pathlib import Path
from typing import Protocol

from hublet.core.errors import StoreError
from hublet.core.history import Replaced
from hublet.core.ledger import Ledger
from hublet.core.questions import Question
from hublet.core.state import Change, State
from hublet.core.values import dataclass

log = logging.getLogger("hublet.sync")

_MOST_REPLACED = 1000
"""How many replaced revisions wait for a disk that can't be written; if there are more, the oldest are lost."""


class Archive(Protocol):
    """Keeps what is known on disk. Its methods block, are never called twice at once, and may raise StoreError."""

    def save(
        self, changes: tuple[Change, ...], ledger: Ledger, replaced: tuple[Replaced, ...] = (), *, anew: bool = False
    ) -> None: ...

    def tidy(self) -> None: ...

    def mend(self, state: State, error: StoreError) -> Path | None:
        """Make the store anew from the state, if this error means that it is gone or damaged; else raise the error
        again. Returns where what lay in its place is now; None when there was nothing."""

    @property
    def misplaced(self) -> bool:
        """Whether the store's file was deleted, replaced or written to by others. Quick, and raises nothing."""


@dataclass(slots=True)
class Saving:
    """What waits to be saved (`pending`, `replaced`), and since when and why. `save` may be called in any thread, never
    twice at once; everything else belongs to one event loop."""

    archive: Archive
    pending: dict[Question, Change] = field(default_factory=dict)
    replaced: list[Replaced] = field(default_factory=list)
    anew: bool = False
    """Whether all history has to be dropped with the next saving."""
    failed_since: float | None = None
    reason: str = ""

    @property
    def due(self) -> bool:
        """Whether to save again although nothing has changed: the last saving failed, or the store is misplaced."""
        return self.failed_since is not None or self.archive.misplaced

    def save(self, changes: tuple[Change, ...], replaced: list[Replaced], state: State, now: float) -> None:
        """Save the changes that led to `state`, and all that could not be saved before. Blocks. Raises nothing: what
        can't be written is kept for later."""
        self.pending |= {change.question: change for change in changes}
        self.replaced = [*self.replaced, *replaced][-_MOST_REPLACED:]
        try:
            self._save(state)
        except StoreError as error:
            if self.failed_since is None:
                self.failed_since = now
                log.error("the cache can't be written; serving goes on from memory: %s", error.message)
            self.reason = error.message
        else:
            if self.failed_since is not None:
                log.info("the cache can be written again")
            self.pending, self.replaced, self.anew, self.failed_since, self.reason = {}, [], False, None, ""

    def _save(self, state: State) -> None:
        try:
            self._write(state)
        except StoreError as error:
            aside = self.archive.mend(state, error)
            log.error(
                "%s; it was made anew from what hublet has in memory%s",
                error.message,
                f"; what lay in its place is now in {aside}" if aside is not None else "",
            )
            self._write(state)

    def _write(self, state: State) -> None:
        self.archive.save(tuple(self.pending.values()), state.ledger, tuple(self.replaced), anew=self.anew)
