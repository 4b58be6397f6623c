"""One hublet a store: the data directory, and the lock in it that says who has it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from hublet.core.errors import StoreError, StoreLocked
from hublet.store.failures import reporting, sync_directory

lock_name = "hublet.lock"


def make_private(directory: Path) -> None:
    """The data directory and its missing parents, 0700 whatever the umask is.

    One that is there already is tightened when it is empty or holds a lock of ours. Raises StoreError when it belongs
    to somebody else, or when others may write in it: they could put another file in the store's place.
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
    """Held from `take` to `release`. The file stays: removing it would let two processes lock two files of one name."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, directory: Path) -> Lock:
        """Raises StoreLocked, naming the holder's process when it can be read, or StoreError without locks on the disk.

        flock and not a record lock: it belongs to the open file, so no close() of another descriptor here drops it,
        and the kernel drops it with the process, however that ends.
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
        """This one while its file is there; else another one, in its place. Raises as `take`."""
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
        """Lets the next one in. Harmless when called again."""
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
    path.chmod(0o700)  # the umask can only have taken rights away; nobody else had any in between
    _make_last(path.parent)


def _make_last(parent: Path) -> None:
    """A power loss must not take the folder with all that is in it. Where the parent can't be read or flushed (it may
    be somebody else's) the file system's own ordering has to do."""
    with suppress(OSError):
        sync_directory(parent)
