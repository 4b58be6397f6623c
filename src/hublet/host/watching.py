"""Noticing that a file has changed, in whatever way: in place, by rename, by a link that points elsewhere, put back.

Folders are watched, not the file: a file that was replaced is another one. Every folder counts that a step of the path
leads through a link in, and of the last ones also their parents, so that a whole folder may be swapped (as Kubernetes
and stow do). What an event says is not believed; it only makes us look.

watchdog is imported by `start`, after the daemon has answered. Folders of ours that are written all the time are never
watched; a file in there is looked at when the owner calls `look` now and then.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from os.path import basename, dirname, join
from pathlib import Path
from stat import S_ISDIR, S_ISLNK
from typing import TYPE_CHECKING, Any, NamedTuple

from hublet.host.lean import load_watcher
from hublet.host.signature import Signature, signature

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver, ObservedWatch

_MOST_LINKS = 40


class Folder(NamedTuple):
    """A folder to watch, as it is now: another one of the same name has another inode."""

    path: str
    device: int
    inode: int


class Trail(NamedTuple):
    """What the path leads through. `whole` are folders in which the file's content changes, `names` those in which a
    step of the path can be replaced; `steps` are those steps' names."""

    whole: frozenset[Folder]
    names: frozenset[Folder]
    steps: frozenset[str]


def trail_of(path: Path) -> Trail:
    """The folders to watch for a path, whether or not there is anything at its end yet. Raises no OSError.

    Each heartbeat walks it, so it is texts and one question a step: pathlib takes five times as long.
    """
    folders: dict[str, os.stat_result] = {}
    names: set[str] = set()
    steps: set[str] = set()
    todo = os.path.abspath(path).split("/")[:0:-1]  # resolve() would lose the links
    here = "/"
    links = 0
    while todo:
        step = todo.pop()
        if step == "..":
            here = dirname(here)
            continue
        there = join(here, step)
        try:
            info = os.lstat(there)
            target = os.readlink(there) if S_ISLNK(info.st_mode) else None
        except OSError:
            if todo:
                break  # the rest of the path is not there yet: its first step will appear in `here`
            continue
        if target is None:
            if todo and not S_ISDIR(info.st_mode):
                break
            if todo:
                folders[there] = info
                here = there
            continue
        names.add(here)
        steps.add(step)
        links += 1
        if links > _MOST_LINKS:
            break
        todo.extend(part for part in reversed(target.split("/")) if part not in ("", "."))
        here = "/" if target.startswith("/") else here
    steps |= {step, basename(here), *map(basename, names)}
    names |= {dirname(folder) for folder in (here, *names)}
    return Trail(_known({here}, folders), _known(names - {here}, folders), frozenset(steps))


def _known(paths: Iterable[str], folders: Mapping[str, os.stat_result]) -> frozenset[Folder]:
    found = set()
    for path in paths:
        info = folders.get(path)
        if info is None:
            try:
                info = os.stat(path)
            except OSError:
                continue
        found.add(Folder(path, info.st_dev, info.st_ino))
    return frozenset(found)


class Watch:
    """An observer of watchdog's and what it watches. Transitions: (made) → start → stop."""

    _watches: dict[Any, ObservedWatch]

    def __init__(self) -> None:
        self._observer: BaseObserver | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to watch. Takes a while the first time: watchdog is imported. Raises OSError when the kernel can't."""
        load_watcher()
        from watchdog.observers import Observer

        with self._lock:
            self._observer = Observer()
            self._observer.start()
        self._follow()

    def stop(self) -> None:
        with self._lock:
            observer, self._observer = self._observer, None
            self._watches.clear()
        if observer is not None:
            observer.stop()
            observer.join(5)

    def _follow(self) -> None:
        """Watch what is there now."""
        raise NotImplementedError


class FileWatch(Watch):
    """Calls `nudge` (from a thread of its own) when the file may have changed; `look` then tells whether it has.

    Transitions: (made) → start → stop. `avoid` are folders that are not watched, nor is anything below them. `seen` is
    the file's signature from before it was read, where that was long ago: what has changed since then is news.
    """

    def __init__(
        self, path: Path, nudge: Callable[[], None], *, avoid: Iterable[Path] = (), seen: Signature | None = None
    ) -> None:
        self.path = path
        self._nudge = nudge
        self._avoid = tuple(os.path.realpath(folder) for folder in avoid)
        super().__init__()
        self._seen = seen if seen is not None else signature(path)
        self._watches: dict[tuple[Folder, bool], ObservedWatch] = {}
        self._steps: frozenset[str] = frozenset()
        self._followed: Trail | None = None
        self._lost: set[str] = set()

    def look(self) -> bool:
        """Whether the file is another than at the last look."""
        self._follow()
        now = signature(self.path)
        changed, self._seen = now != self._seen, now
        return changed

    @property
    def watched(self) -> list[Path]:
        with self._lock:
            return sorted({Path(folder.path) for folder, _ in self._watches})

    def _follow(self) -> None:
        """Watch what the path leads through now."""
        with self._lock:
            if self._observer is None:
                return
            trail = trail_of(self.path)
            if trail == self._followed and not self._lost:
                return
            self._steps, self._followed = trail.steps, None
            wanted = {(folder, True) for folder in trail.whole} | {(folder, False) for folder in trail.names}
            wanted = {(folder, whole) for folder, whole in wanted if not self._is_avoided(folder.path)}
            lost = {key for key in self._watches if key[0].path in self._lost}
            self._lost.clear()
            for gone in (self._watches.keys() - wanted) | lost:
                self._unwatch(self._observer, self._watches.pop(gone))
            for folder, whole in wanted - self._watches.keys():
                try:
                    self._watches[folder, whole] = self._watch(self._observer, folder.path, whole=whole)
                except FileNotFoundError:
                    continue  # gone again; its parent is watched
            if self._watches.keys() == wanted:
                self._followed = trail

    def _is_avoided(self, folder: str) -> bool:
        return any(join(folder, "").startswith(join(avoided, "")) for avoided in self._avoid)

    def _watch(self, observer: BaseObserver, folder: str, *, whole: bool) -> ObservedWatch:
        from watchdog import events

        class Handler(events.FileSystemEventHandler):
            @staticmethod
            def on_any_event(event: FileSystemEvent) -> None:
                self._happened(event)

        # Named, so that the kernel doesn't tell of mere reads: they would wake us whenever a neighbour is looked at.
        kinds: list[type[FileSystemEvent]] = [
            events.FileCreatedEvent, events.FileMovedEvent, events.FileDeletedEvent,
            events.DirCreatedEvent, events.DirMovedEvent, events.DirDeletedEvent,
        ]  # fmt: skip
        if whole:
            # Another owner or mode counts too; older versions of watchdog call that a modification.
            kinds += [events.FileModifiedEvent, events.FileClosedEvent]
            kinds += [getattr(events, "FileAttribEvent", events.FileModifiedEvent)]
        return observer.schedule(Handler(), folder, event_filter=kinds)

    @staticmethod
    def _unwatch(observer: BaseObserver, watch: ObservedWatch) -> None:
        try:
            observer.unschedule(watch)
        except (KeyError, OSError, RuntimeError):
            return  # a folder that is gone has taken its watch along

    def _happened(self, event: FileSystemEvent) -> None:
        if event.is_directory and event.event_type in ("deleted", "moved"):
            # A new folder may get the inode of the old one: it would look as if it were watched already.
            self._lost.add(os.fsdecode(event.src_path))
        for place in (event.src_path, event.dest_path):
            if place and basename(os.fsdecode(place)) in self._steps:
                self._nudge()
                return
