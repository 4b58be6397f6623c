"""Whether the store's file is still the one that was opened.

SQLite goes on writing into a file that was deleted or moved away, and whoever opens the store next finds nothing of it.
So before every commit the names of the database and of the lock have to lead to the files that are open.
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
    """Two names, and the files that they led to when it was made; and when the database was last written by hublet.

    Raises OSError when a name leads to nothing.
    """

    def __init__(self, database: Path, lock: Path) -> None:
        self._names = {database: _file(database), lock: _file(lock)}
        self._database = database
        self._written = _written(database)

    @property
    def problem(self) -> str:
        """What has happened to them, as a sentence; empty while all is well, and where that can't be told."""
        return next(filter(None, map(self._problem_of, self._names)), "")

    @property
    def touched(self) -> bool:
        """Whether another program has written into the database."""
        try:
            return _written(self._database) != self._written
        except OSError:
            return False

    def note(self) -> None:
        """hublet itself has written into the database."""
        with suppress(OSError):
            self._written = _written(self._database)

    def check(self, is_sound: Callable[[], bool]) -> None:
        """Raises StoreMisplaced. What another program has written is looked through, since SQLite would not notice it:
        it goes on with the pages that it has in memory."""
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
