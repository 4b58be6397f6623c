"""The source `file`: the key is 32 bytes in a file of our own, in another directory than the data.

    kek          the key in force
    kek.next     the staged key, while the store is being sealed under it
    kek.count    the number of each store's last commit (counts.py)

It protects a copy of the data directory that was made without the key's directory. The key's directory is marked so
that backups leave it out (CACHEDIR.TAG, and an extended attribute for Time Machine). A full copy of the home has both.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hublet.core.envelope import Key, key_size
from hublet.core.errors import KeySourceError
from hublet.keys import counts
from hublet.keys.private import flush_directory, judge_directory, make_directory, read_private, temporary, write

tag_name = "CACHEDIR.TAG"
tag_text = b"""Signature: 8a477f597d28d172789f06886806bc55
# hublet keeps the key of its sealed cache here, so that a backup of the cache can be useless without it.
"""


class FileSource:
    name = "file"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = path.with_name(f"{path.name}.next")
        self._counts = path.with_name(f"{path.name}.count")

    def __repr__(self) -> str:
        return f"FileSource({str(self.path)!r})"

    @property
    def parameters(self) -> Mapping[str, str]:
        return {}

    def describe(self) -> str:
        return f"the file {self.path}"

    def load(self) -> Key | None:
        """The key, or None when there is no file.

        Raises KeySourceError for a symbolic link, another kind of file, another owner, a wrong size, and for a mode or
        a directory that gives others access.
        """
        return self._read(self.path)

    def create(self, kek: Key) -> None:
        """Write the file, its directory and the directory's tag. They are private from the first byte on, and on the
        disk when this returns.

        Raises KeySourceError when there is a file already, or it can't be written.
        """
        if os.path.lexists(self.path):
            raise KeySourceError(f"there is a key file already: {self.path}", hint="move it away first")
        self._write(self.path, kek)

    def successor(self) -> FileSource:
        return self

    def stage(self, kek: Key) -> Key:
        self._write(self._next, kek)
        return kek

    def staged(self) -> Key | None:
        return self._read(self._next)

    def promote(self) -> None:
        with self._changing():
            if os.path.lexists(self._next):
                self._next.replace(self.path)
                flush_directory(self.path.parent)

    def discard(self) -> None:
        """Remove the files. The file system and the disk may still keep their content."""
        with self._changing():
            for path in (self.path, self._next, self._counts):
                path.unlink(missing_ok=True)
            if self.path.parent.is_dir():
                flush_directory(self.path.parent)

    @property
    def counting(self) -> float:
        return 0.0

    def generation(self, store: bytes) -> int | None:
        return self._counted().get(store)

    def count(self, store: bytes, generation: int) -> None:
        text = counts.having(self._counted(), store, generation)
        with self._changing():
            make_directory(self.path.parent)
            write(self._counts, text.encode())

    def _counted(self) -> dict[bytes, int]:
        value = read_private(self._counts, counts.size_limit, what="the count of commits", setting="keys.file")
        return counts.read(value.decode("ascii", "replace")) if value is not None else {}

    def _read(self, path: Path) -> Key | None:
        value = read_private(path, key_size, what="the key file", setting="keys.file")
        if value is None:
            return None
        if len(value) != key_size:
            raise KeySourceError(
                f"the key file {path} does not have {key_size} bytes",
                hint="put the right file back from where you keep a copy; without it the cache can't be opened",
            )
        return Key(value)

    def _write(self, path: Path, kek: Key) -> None:
        directory = path.parent
        with self._changing():
            make_directory(directory)
            judge_directory(directory)
            ours = {tag_name, self.path.name, self._next.name, self._counts.name}
            own = ours | {temporary(directory / name).name for name in ours}
            if all(entry.name in own for entry in directory.iterdir()):
                # Only where nothing else is in the directory: the tag excludes all of it from backups.
                write(directory / tag_name, tag_text)
            write(path, kek.reveal())
            exclude_from_time_machine(directory)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise KeySourceError(
                f"the key file {self.path} can't be written: {error.strerror}", hint="keys.file names another place"
            ) from error


def exclude_from_time_machine(path: Path) -> bool:
    """On macOS, tell Time Machine to leave a path out. Returns whether that worked; nothing depends on it."""
    if sys.platform != "darwin":
        return False
    import ctypes
    import plistlib

    value = plistlib.dumps("com.apple.backupd", fmt=plistlib.FMT_BINARY)
    try:
        setxattr = ctypes.CDLL(None, use_errno=True).setxattr
    except (OSError, AttributeError):
        return False
    name = b"com.apple.metadata:com_apple_backup_excludeItem"
    # setxattr(path, name, value, size, position, options), as sys/xattr.h of macOS declares it
    return bool(setxattr(os.fsencode(path), name, value, ctypes.c_size_t(len(value)), ctypes.c_uint32(0), 0) == 0)
