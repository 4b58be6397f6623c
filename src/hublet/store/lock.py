"""The data directory, and the lock file in it, with which only one hublet at a time has the store."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from hublet.core.errors import StoreError, StoreLocked
from hublet.store.failures import reporting, sync_directory

lock_name = "hublet.lock"


def make_private(directory: Path) -> None:
    """Make the data directory and its missing parents, with mode 0700 whatever the umask is.

    A directory that exists already is closed to others (0700) if it is empty or has a lock file of ours in it. Raises
    StoreError when it belongs to somebody else, or when others may write in it: they could replace the store's file.
    """
    with reporting(f"the data directory {directory} can't be used"):
        _make(directory)
        info = directory.stat()
        if info.st_uid != os.geteuid():
            raise StoreError(
                f"the data directory {directory} belongs to another user (uid {info.st_uid})",
                hint="run hublet as that user, or give it another cache.directory",
            )
        if info.st_mode & 0o077:
            names = [entry.name for entry in directory.iterdir()]
            if not names or lock_name in names:
                directory.chmod(0o700)
            elif info.st_mode & 0o022:
                raise StoreError(f"others may write in the data directory {directory}", hint=f"chmod 700 {directory}")


class Lock:
    """The lock, held from `take` to `release`. Its file is never removed: otherwise two processes could each lock a
    file of that name, one of them removed already."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, directory: Path) -> Lock:
        """Take the lock of a data directory. Raises StoreLocked, with the pid of the holder if it can be read;
        StoreError when the file system has no locks.

        It is a flock and not a record lock, because a flock belongs to the open file: closing another descriptor of the
        file does not drop it. The kernel drops it when the process ends, however it ends.
        """
        import fcntl

        path = directory / lock_name
        with reporting(f"the lock {path} can't be taken"):
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
            try:
                os.fchmod(descriptor, 0o600)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
            except BlockingIOError:
                holder = os.pread(descriptor, 20, 0).strip()
                os.close(descriptor)
                named = f" (process {int(holder)})" if holder.isdigit() else ""
                raise StoreLocked(
                    f"another hublet{named} has the cache {directory} open", hint="use that one, or stop it first"
                ) from None
            except BaseException:
                os.close(descriptor)
                raise
        return cls(descriptor)

    def held_in(self, directory: Path) -> Lock:
        """This lock, if its file is still the one in the directory; else a new lock, and this one is released. Raises
        like `take`."""
        info = os.fstat(self._descriptor)
        try:
            found = os.lstat(directory / lock_name)
        except FileNotFoundError:
            found = None
        if found is not None and (found.st_dev, found.st_ino) == (info.st_dev, info.st_ino):
            return self
        other = Lock.take(directory)
        self.release()
        return other

    def release(self) -> None:
        """Let the next hublet in. Harmless when called again."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def _make(path: Path) -> None:
    if path.is_dir():
        return
    _make(path.parent)
    path.mkdir(mode=0o700)
    path.chmod(0o700)  # between the two calls nobody else had rights: the umask only takes away
    _make_last(path.parent)


def _make_last(parent: Path) -> None:
    """Flush the parent of a new folder, so that a power loss does not lose the folder and all in it. A parent that
    can't be read or flushed, as when it is somebody else's, is left to the file system."""
    with suppress(OSError):
        sync_directory(parent)
