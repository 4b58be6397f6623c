"""By what it is noticed that a file has changed."""

from __future__ import annotations

from pathlib import Path

Signature = tuple[int, ...]


def signature(path: Path) -> Signature | None:
    """What changes whenever the file does (its owner and mode too); None when there is none."""
    try:
        info = path.stat()
    except OSError:
        return None
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
