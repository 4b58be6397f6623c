"""Files that hold a secret: read only if others can neither read nor replace them; written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from hublet.core.errors import KeySourceError


def read_private(path: Path, size: int, *, what: str, setting: str) -> bytes | None:
    """At most `size` + 1 bytes of a file; None when there is none. `what` begins the sentence of an error, and
    `setting` is the config's key that names the file.

    Raises KeySourceError for a symbolic link, another kind of file, another owner, and for a mode or a directory that
    gives others access. The file is opened once and checked by its descriptor, so the file that is checked is the one
    that is read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error, what, setting) from error
    try:
        _judge(path, os.fstat(descriptor), what)
        judge_directory(path.parent)
        return os.read(descriptor, size + 1)
    except OSError as error:
        raise _unusable(path, error, what, setting) from error
    finally:
        os.close(descriptor)


def _judge(path: Path, info: os.stat_result, what: str) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise KeySourceError(f"{what} {path} is not a regular file", hint="put the file itself there")
    if info.st_uid != os.geteuid():
        raise KeySourceError(
            f"{what} {path} belongs to another user (uid {info.st_uid})",
            hint="run hublet as the user that the file belongs to",
        )
    if info.st_mode & 0o077:
        raise KeySourceError(
            f"{what} {path} can be used by others (mode {stat.S_IMODE(info.st_mode):04o})",
            hint=f"chmod 600 {path}, and think about who may have read it",
        )


def judge_directory(directory: Path) -> None:
    """Raises KeySourceError when others may write in the directory, because they could replace our file; OSError."""
    info = directory.stat()
    if info.st_uid not in (os.geteuid(), 0) or info.st_mode & 0o022:
        raise KeySourceError(f"the key's directory {directory} can be changed by others", hint=f"chmod 700 {directory}")


def _unusable(path: Path, error: OSError, what: str, setting: str) -> KeySourceError:
    if error.errno == errno.ELOOP:
        return KeySourceError(f"{what} {path} is a symbolic link", hint=f"{setting} takes the path of the file itself")
    return KeySourceError(
        f"{what} {path} can't be read: {error.strerror}", hint="check its owner and mode, and its folders'"
    )


def make_directory(path: Path) -> None:
    """Make a directory and its missing parents, each with mode 0700 whatever the umask is. Raises OSError."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o700)
    path.chmod(0o700)  # between the two calls nobody else had rights: the umask only takes away
    with suppress(OSError):  # the parent may be somebody else's
        flush_directory(path.parent)


def temporary(path: Path) -> Path:
    """Where a file is written before it is moved to its place."""
    return path.with_name(f".{path.name}.new")


def write(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all: beside its place, flushed, then renamed, and the rename flushed. Raises
    OSError."""
    beside = temporary(path)
    beside.unlink(missing_ok=True)  # a crash may have left it; with O_EXCL below the file is surely our own
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    flush_directory(path.parent)


def flush_directory(path: Path) -> None:
    """Flush a directory, so that files created, moved or removed in it stay so after a power loss. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
