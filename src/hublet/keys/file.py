"""The source `file`: 32 bytes in a file of our own, in another directory than the data.

It protects a copy of the data directory that was made without the key's directory. That one is marked so that backups
leave it out (CACHEDIR.TAG, and an extended attribute for Time Machine); a full copy of the home holds both.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from hublet.core.envelope import Key, key_size
from hublet.core.errors import KeySourceError

tag_name = "CACHEDIR.TAG"
tag_text = b"""Signature: 8a477f597d28d172789f06886806bc55
# hublet keeps the key of its sealed cache here, so that a backup of the cache can be useless without it.
"""


class FileSource:
    name = "file"

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"FileSource({str(self.path)!r})"

    @property
    def parameters(self) -> Mapping[str, str]:
        return {}

    def describe(self) -> str:
        return f"the file {self.path}"

    def load(self) -> Key | None:
        """The key, or None when there is no file.

        Raises KeySourceError for a link, another kind of file, another owner, a mode or a directory that lets others
        in, and a wrong size. The file is opened once and judged by its descriptor: what is judged is what is read.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._judge(os.fstat(descriptor))
            self._judge_directory()
            value = os.read(descriptor, key_size + 1)
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            os.close(descriptor)
        if len(value) != key_size:
            raise KeySourceError(
                f"the key file {self.path} does not have {key_size} bytes",
                hint="put the right file back from where you keep a copy; without it the cache can't be opened",
            )
        return Key(value)

    def create(self, kek: Key) -> None:
        """Writes the file, its directory and the directory's tag, private from the first byte and on disk at return.

        Raises KeySourceError when something is there already or the file can't be written.
        """
        directory = self.path.parent
        try:
            if os.path.lexists(self.path):
                raise KeySourceError(f"there is a key file already: {self.path}", hint="move it away first")
            _make_directory(directory)
            self._judge_directory()
            own = {tag_name, _temporary(directory / tag_name).name, _temporary(self.path).name}
            if all(entry.name in own for entry in directory.iterdir()):
                # Only a directory that is ours alone: the tag takes everything in it out of backups.
                _write(directory / tag_name, tag_text)
            _write(self.path, kek.reveal())
            exclude_from_time_machine(directory)
        except OSError as error:
            raise KeySourceError(
                f"the key file {self.path} can't be written: {error.strerror}", hint="keys.file names another place"
            ) from error

    def _judge(self, info: os.stat_result) -> None:
        if not stat.S_ISREG(info.st_mode):
            raise KeySourceError(
                f"the key file {self.path} is not a regular file", hint="put the key file itself there"
            )
        if info.st_uid != os.geteuid():
            raise KeySourceError(
                f"the key file {self.path} belongs to another user (uid {info.st_uid})",
                hint="run hublet as the user that the file belongs to",
            )
        if info.st_mode & 0o077:
            raise KeySourceError(
                f"the key file {self.path} can be used by others (mode {stat.S_IMODE(info.st_mode):04o})",
                hint=f"chmod 600 {self.path}, and think about who may have read it",
            )

    def _judge_directory(self) -> None:
        # Who may write in the directory may put another file in the key's place.
        info = self.path.parent.stat()
        if info.st_uid not in (os.geteuid(), 0) or info.st_mode & 0o022:
            raise KeySourceError(
                f"the key's directory {self.path.parent} can be changed by others", hint=f"chmod 700 {self.path.parent}"
            )

    def _unusable(self, error: OSError) -> KeySourceError:
        if error.errno == errno.ELOOP:
            return KeySourceError(
                f"the key file {self.path} is a symbolic link", hint="keys.file takes the path of the file itself"
            )
        return KeySourceError(
            f"the key file {self.path} can't be read: {error.strerror}",
            hint="check its owner and mode, and its folders'",
        )


def _make_directory(path: Path) -> None:
    """The directory and its missing parents, each 0700 whatever the umask is."""
    if path.is_dir():
        return
    _make_directory(path.parent)
    path.mkdir(mode=0o700)
    path.chmod(0o700)  # the umask can only have taken rights away; nobody else had any in between


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _write(path: Path, data: bytes) -> None:
    """A whole file or none: written beside its place, flushed, moved there, and the move flushed."""
    temporary = _temporary(path)
    temporary.unlink(missing_ok=True)  # left by a crash; O_EXCL below then makes sure that the file is our own
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def exclude_from_time_machine(path: Path) -> bool:
    """Marks a path for Time Machine, on macOS; whether it was marked. Best effort: nothing depends on it."""
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
