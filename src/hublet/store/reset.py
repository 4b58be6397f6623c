"""Moves a store that can't be opened out of the way, without losing a byte of it."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from hublet.core.errors import StoreError
from hublet.store.failures import reporting, sync_directory
from hublet.store.lock import Lock
from hublet.store.schema import beside, database_name


def reset(directory: Path) -> Path:
    """Move the store's files into a new folder `aside-N` of the data directory, which is returned. The next open makes
    a new store.

    Raises StoreLocked while a hublet has the store open, StoreError when there is no store or it can't be moved.
    """
    directory = Path(directory).absolute()
    path = directory / database_name
    missing = StoreError(f"there is no cache in {directory}", hint="nothing needs to be moved")
    if not directory.is_dir():
        raise missing
    lock = Lock.take(directory)
    try:
        if not os.path.lexists(path):
            raise missing
        with reporting("the cache can't be moved aside"):
            aside = new_folder(directory)
            # The database first: if this is interrupted, only a WAL stays behind, which a new store removes.
            for file in (path, *beside(path)):
                if os.path.lexists(file):
                    file.rename(aside / file.name)
            sync_directory(aside)
            sync_directory(directory)
            return aside
    finally:
        lock.release()


def new_folder(directory: Path) -> Path:
    """Make a new private folder `aside-N` with the first free number. Raises OSError."""
    for number in count(1):
        folder = directory / f"aside-{number}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        folder.chmod(0o700)
        return folder
    raise AssertionError("count() has no end")
