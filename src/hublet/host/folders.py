"""Notices that a file has changed in a folder or in the two levels of folders below it.

Names that begin with a dot are ignored: git and editors keep their own files there. As in host/watching, an event only
makes us look; a change is a difference between the files' signatures now and at the last look.

watchdog is imported by `start`, after the daemon has given its first answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hublet.host.watching import Watch

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver, ObservedWatch

_DEPTH = 2
_MOST_FOLDERS = 500
_MOST_FILES = 10_000

Signature = frozenset[tuple[str, int, int, int]]


def folders_of(folder: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """A folder and those below it, `depth` levels deep; those that can't be read have none below them."""
    yield folder
    if depth == 0:
        return
    try:
        below = sorted(entry.path for entry in os.scandir(folder) if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return
    for path in below:
        yield from folders_of(Path(path), depth - 1)


def signature(folder: Path) -> Signature:
    """A value that changes whenever a file in a folder changes, comes or goes."""
    found: set[tuple[str, int, int, int]] = set()
    for place in folders_of(folder):
        try:
            for entry in os.scandir(place):
                info = entry.stat()
                if not entry.name.startswith(".") and not entry.is_dir() and len(found) < _MOST_FILES:
                    found.add((entry.path, info.st_ino, info.st_size, info.st_mtime_ns))
        except OSError:
            continue
    return frozenset(found)


class FolderWatch(Watch):
    """Calls `nudge` (from a thread of its own) when something may have changed; `look` then tells whether it has.

    Transitions: (made) → start → stop.
    """

    def __init__(self, folder: Path, nudge: Callable[[], None]) -> None:
        self.folder = folder
        super().__init__()
        self._nudge = nudge
        self._seen = signature(folder)
        self._watches: dict[tuple[Path, int], ObservedWatch] = {}

    def look(self) -> bool:
        """Whether a file has changed, come or gone since the last look."""
        self._follow()
        now = signature(self.folder)
        changed, self._seen = now != self._seen, now
        return changed

    def _follow(self) -> None:
        """Watch exactly the folders that are there now. A folder that was replaced has another inode."""
        with self._lock:
            if self._observer is None:
                return
            wanted = set()
            for folder in folders_of(self.folder):
                try:
                    wanted.add((folder, folder.stat().st_ino))
                except OSError:
                    continue
                if len(wanted) >= _MOST_FOLDERS:
                    break
            for gone in self._watches.keys() - wanted:
                try:
                    self._observer.unschedule(self._watches.pop(gone))
                except (KeyError, OSError, RuntimeError):
                    continue  # a deleted folder has taken its watch along
            for folder, inode in wanted - self._watches.keys():
                try:
                    self._watches[folder, inode] = self._watch(self._observer, folder)
                except FileNotFoundError:
                    continue

    def _watch(self, observer: BaseObserver, folder: Path) -> ObservedWatch:
        from watchdog import events

        class Handler(events.FileSystemEventHandler):
            @staticmethod
            def on_any_event(event: FileSystemEvent) -> None:
                self._happened(event)

        # Listed, so that the kernel doesn't tell of mere reads: every pass reads all files.
        kinds: list[type[FileSystemEvent]] = [
            events.FileCreatedEvent, events.FileMovedEvent, events.FileDeletedEvent, events.FileModifiedEvent,
            events.FileClosedEvent, events.DirCreatedEvent, events.DirMovedEvent, events.DirDeletedEvent,
        ]  # fmt: skip
        return observer.schedule(Handler(), str(folder), event_filter=kinds)

    def _happened(self, event: FileSystemEvent) -> None:
        names = [os.path.basename(os.fsdecode(place)) for place in (event.src_path, event.dest_path) if place]  # noqa: PTH119
        if any(not name.startswith(".") for name in names):
            self._nudge()
