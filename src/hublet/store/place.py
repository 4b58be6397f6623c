"""Whether the store's file is still the one that was opened.

SQLite goes on writing into a file that was deleted or moved away, and the next program that opens the store finds
nothing of that. So before every commit it is checked that the paths of the database and of the lock still lead to the
files that are open.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hublet.core.errors import StoreCorrupt, StoreError


class StoreMisplaced(StoreError):
    """The store's file or its lock was deleted or replaced while hublet had it open."""


class StoreChanged(StoreCorrupt):
    """The store is not the one that hublet last wrote: another program wrote into it."""


class Place:
    """The paths of the database and of the lock, the files (device and inode) that they led to when this was made, and
    the database's size and time of change after hublet's last write.

    Making one raises OSError when there is no file at one of the paths.
    """

    def __init__(self, database: Path, lock: Path) -> None:
        self._names = {database: _file(database), lock: _file(lock)}
        self._database = database
        self._written = _written(database)

    @property
    def problem(self) -> str:
        """What has happened to the files, as a sentence; empty when nothing has, or when they can't be looked at."""
        return next(filter(None, map(self._problem_of, self._names)), "")

    @property
    def touched(self) -> bool:
        """Whether another program has written into the database."""
        try:
            return _written(self._database) != self._written
        except OSError:
            return False

    def note(self) -> None:
        """Take note that hublet itself has written into the database."""
        with suppress(OSError):
            self._written = _written(self._database)

    def check(self, is_sound: Callable[[], bool]) -> None:
        """Raises StoreMisplaced when a file was deleted or replaced, or when another program has written into the
        database and `is_sound` says that it is no longer what hublet last committed. SQLite itself would not notice: it
        goes on with the pages that it has in memory."""
        problem = self.problem
        if not problem and self.touched:
            if is_sound():
                self.note()
            else:
                problem = "another program wrote into the cache while hublet had it open"
        if problem:
            raise StoreMisplaced(problem, hint="hublet puts it back by itself; try again")

    def _problem_of(self, name: Path) -> str:
        what = "the cache" if name == self._database else "the cache's lock"
        try:
            found = _file(name)
        except (FileNotFoundError, NotADirectoryError):
            return f"{what} was deleted while hublet had it open"
        except OSError:
            return ""
        return f"{what} was replaced while hublet had it open" if found != self._names[name] else ""


def _file(name: Path) -> tuple[int, int]:
    info = os.lstat(name)
    return info.st_dev, info.st_ino


def _written(name: Path) -> tuple[int, int]:
    info = os.lstat(name)
    return info.st_size, info.st_mtime_ns
