"""A disk that loses power: what may be left of files when not everything that was written had been flushed.

It is fed the changes that a program made, in order. What was not flushed is lost, kept, kept in part, in another order,
or torn within a write, at the size of a sector; names that were made, moved or removed in a folder last once that
folder was flushed, and before that as far as the folder's changes came.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512


@dataclass(frozen=True)
class Change:
    """`kind` is create, mkdir, write, cut, sync, rename or unlink; `at` an offset or a size."""

    kind: str
    path: str
    other: str = ""
    at: int = 0
    data: bytes = b""


def read_log(file: Path) -> list[Change]:
    """What shim.c wrote down."""
    text, at, changes = file.read_bytes(), 0, []
    while at < len(text):
        end = text.index(b"\n", at)
        kind, path, other, offset, size = text[at:end].decode().split("\t")
        at = end + 1 + int(size)
        changes.append(Change(kind, path, other, int(offset), text[end + 1 : at]))
    return changes


@dataclass
class File:
    flushed: bytes = b""
    pending: list[Change] = field(default_factory=list)
    folder: bool = False

    def content(self, kept: list[Change]) -> bytes:
        body = bytearray(self.flushed)
        for change in kept:
            if change.kind == "cut":
                body = bytearray(body[: change.at].ljust(change.at, b"\0"))
                continue
            if len(body) < change.at:
                body.extend(bytes(change.at - len(body)))
            body[change.at : change.at + len(change.data)] = change.data
        return bytes(body)


class Disk:
    """Transitions: (made from a folder) → done(change)*; `losses` at any time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.flushed: dict[str, File] = {}
        for path in sorted(root.rglob("*")):
            if not path.name.endswith("-shm") and (path.is_dir() or path.is_file()):
                self.flushed[str(path)] = File(folder=True) if path.is_dir() else File(path.read_bytes())
        self.names = dict(self.flushed)
        self.pending: dict[str, list[tuple[Change, File | None]]] = {}

    def done(self, change: Change) -> None:
        path = change.path
        if path.endswith("-shm"):
            return  # made anew from the WAL by whoever opens it next
        match change.kind:
            case "create" | "mkdir":
                self.names[path] = File(folder=change.kind == "mkdir")
                self._named(change, self.names[path])
            case "write" | "cut":
                if path in self.names:  # else it was removed while open
                    self.names[path].pending.append(change)
            case "rename":
                self.names[change.other] = self.names.pop(path)
                self._named(change, self.names[change.other])
            case "unlink" | "rmdir":
                self.names.pop(path, None)
                self._named(change, None)
            case "sync" if path == str(self.root) or self.names[path].folder:
                for named, file in self.pending.pop(path, []):
                    _name(self.flushed, named, file)
            case "sync":
                file = self.names[path]
                file.flushed, file.pending = file.content(file.pending), []

    def _named(self, change: Change, file: File | None) -> None:
        folder = str(Path(change.path).parent)
        assert not change.other or str(Path(change.other).parent) == folder, "moved between folders"
        self.pending.setdefault(folder, []).append((change, file))

    def losses(self, chance: random.Random, number: int) -> Iterator[dict[str, bytes | None]]:
        """What may be there when it is turned on again: contents by path, None for a folder."""
        yield self._left(lambda changes: [], lambda names: 0)
        yield self._left(lambda changes: changes, len)
        yield self._left(lambda changes: changes, lambda names: 0)
        yield self._left(lambda changes: [], len)
        for _ in range(number):
            yield self._left(lambda changes: _some(changes, chance), lambda names: chance.randrange(len(names) + 1))

    def _left(self, keep, reach) -> dict[str, bytes | None]:  # type: ignore[no-untyped-def]
        names = dict(self.flushed)
        for pending in self.pending.values():
            for change, file in pending[: reach(pending)]:
                _name(names, change, file)
        left: dict[str, bytes | None] = {}
        for path, file in sorted(names.items()):
            parent = str(Path(path).parent)
            if parent == str(self.root) or parent in left:
                left[path] = None if file.folder else file.content(keep(file.pending))
        return left


def _name(names: dict[str, File], change: Change, file: File | None) -> None:
    if file is None:
        names.pop(change.path, None)
        return
    if change.kind == "rename":
        names.pop(change.path, None)
        names[change.other] = file
    else:
        names[change.path] = file


def _some(changes: list[Change], chance: random.Random) -> list[Change]:
    """A part of what was not flushed, in any order, some of it torn."""
    kept = []
    for change in chance.sample(changes, chance.randrange(len(changes) + 1)) if changes else []:
        sectors = range(0, len(change.data), SECTOR)
        if change.kind == "write" and len(sectors) > 1 and chance.random() < 0.5:
            kept += [
                Change("write", change.path, "", change.at + at, change.data[at : at + SECTOR])
                for at in chance.sample(sectors, chance.randrange(1, len(sectors)))
            ]
        elif change.kind == "write" and chance.random() < 0.3:
            kept.append(
                Change("write", change.path, "", change.at, change.data[: chance.randrange(len(change.data) + 1)])
            )
        else:
            kept.append(change)
    return kept


def put_down(left: dict[str, bytes | None], root: Path) -> None:
    """Make a folder hold just that."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(mode=0o700)
    for path, content in left.items():
        if content is None:
            Path(path).mkdir(mode=0o700)
        else:
            Path(path).touch(mode=0o600)
            Path(path).write_bytes(content)
