"""Notices that a file has changed: written in place, renamed, put back, or reached through a changed symbolic link.

Folders are watched instead of the file, because a file that is replaced is another file. Watched are the folder of the
file, each folder that has a symbolic link on the path, and the parents of all of these, so that a whole folder can be
replaced too (as Kubernetes and stow do). An event only makes us look; a change is a difference of signatures.

watchdog is imported by `start`, after the daemon has given its first answer. Folders that hublet itself writes all the
time are never watched; a change in there is noticed when the owner calls `look` now and then.
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
    """A folder to watch, as it is now. A folder that was replaced has another inode."""

    path: str
    device: int
    inode: int


class Trail(NamedTuple):
    """The folders that decide what a path leads to. In `whole` the file itself lies, so that its content matters too;
    in `names` a part of the path may be replaced. `steps` are the names of the file, the links and these folders."""

    whole: frozenset[Folder]
    names: frozenset[Folder]
    steps: frozenset[str]


def trail_of(path: Path) -> Trail:
    """The folders to watch for a path, even if there is no file at its end yet. Never raises OSError.

    This runs at each heartbeat, so it uses plain strings and one lstat for each step: pathlib takes five times as long.
    """
    folders: dict[str, os.stat_result] = {}
    names: set[str] = set()
    steps: set[str] = set()
    todo = os.path.abspath(path).split("/")[:0:-1]  # not resolved, which would hide the links
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
                break  # the rest of the path does not exist yet: it will begin in `here`
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
    """An observer of watchdog, and what it watches. Transitions: (made) → start → stop."""

    _watches: dict[Any, ObservedWatch]

    def __init__(self) -> None:
        self._observer: BaseObserver | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to watch. Takes a while the first time, because watchdog is imported. Raises OSError when the kernel
        can watch no more."""
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
        """Watch the folders that are there now."""
        raise NotImplementedError


class FileWatch(Watch):
    """Calls `nudge` (from a thread of its own) when the file may have changed; `look` then tells whether it has.

    Transitions: (made) → start → stop. Folders in `avoid` are not watched, nor is anything below them. `seen` is the
    file's signature from before it was read: a change since then counts. Without it the file is taken as it is now.
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
        """Whether the file has changed, come or gone since the last look."""
        self._follow()
        now = signature(self.path)
        changed, self._seen = now != self._seen, now
        return changed

    @property
    def watched(self) -> list[Path]:
        with self._lock:
            return sorted({Path(folder.path) for folder, _ in self._watches})

    def _follow(self) -> None:
        """Watch the folders that the path leads through now."""
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
                    continue  # removed meanwhile; its parent is watched
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

        # Listed, so that the kernel doesn't tell of mere reads, which would wake us for every other file in the folder.
        kinds: list[type[FileSystemEvent]] = [
            events.FileCreatedEvent, events.FileMovedEvent, events.FileDeletedEvent,
            events.DirCreatedEvent, events.DirMovedEvent, events.DirDeletedEvent,
        ]  # fmt: skip
        if whole:
            # Changes of owner and mode count too; older versions of watchdog call these a modification.
            kinds += [events.FileModifiedEvent, events.FileClosedEvent]
            kinds += [getattr(events, "FileAttribEvent", events.FileModifiedEvent)]
        return observer.schedule(Handler(), folder, event_filter=kinds)

    @staticmethod
    def _unwatch(observer: BaseObserver, watch: ObservedWatch) -> None:
        try:
            observer.unschedule(watch)
        except (KeyError, OSError, RuntimeError):
            return  # a deleted folder has taken its watch along

    def _happened(self, event: FileSystemEvent) -> None:
        if event.is_directory and event.event_type in ("deleted", "moved"):
            # A new folder may get the inode of the old one, and would then be taken for one that is watched already.
            self._lost.add(os.fsdecode(event.src_path))
        for place in (event.src_path, event.dest_path):
            if place and basename(os.fsdecode(place)) in self._steps:
                self._nudge()
                return
