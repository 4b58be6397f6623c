"""What is known and not on the disk yet: kept in memory, tried again, and told since when and why.

A disk that is full, read-only or broken doesn't stop the serving. A store that was deleted, replaced or damaged under a
running hublet is made anew from what is in memory; what lies in its place is moved aside first.
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
"""So much history waits for a disk that can't be written; of more, the oldest is lost."""


class Archive(Protocol):
    """Keeps what is known; its calls block and never overlap. Each raises StoreError."""

    def save(
        self, changes: tuple[Change, ...], ledger: Ledger, replaced: tuple[Replaced, ...] = (), *, anew: bool = False
    ) -> None: ...

    def tidy(self) -> None: ...

    def mend(self, state: State, error: StoreError) -> Path | None:
        """Make the store anew from what is known, if that is what the error calls for; else raise it again. Gives
        where the other one lies now, None when there was none."""

    @property
    def misplaced(self) -> bool:
        """Whether the store's file has been deleted, replaced or written to by others. Quick, and raises nothing."""


@dataclass(slots=True)
class Saving:
    """One `save` at a time, in whatever thread; all else belongs to one event loop."""

    archive: Archive
    pending: dict[Question, Change] = field(default_factory=dict)
    replaced: list[Replaced] = field(default_factory=list)
    anew: bool = False
    """All history is to be dropped."""
    failed_since: float | None = None
    reason: str = ""

    @property
    def due(self) -> bool:
        """Whether there is something to save again, without anything new."""
        return self.failed_since is not None or self.archive.misplaced

    def save(self, changes: tuple[Change, ...], replaced: list[Replaced], state: State, now: float) -> None:
        """Save what led to `state`, with all that could not be saved before. Blocks. Raises nothing: it is kept for
        later."""
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
