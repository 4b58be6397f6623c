"""A value by which a change of a file is noticed without reading the file."""

from __future__ import annotations

from pathlib import Path

Signature = tuple[int, ...]


def signature(path: Path) -> Signature | None:
    """A value that is another one after every change of the file, its owner or its mode; None when there is no file.

    It has device, inode, size and the times of modification and of status change.
    """
    try:
        info = path.stat()
    except OSError:
        return None
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
