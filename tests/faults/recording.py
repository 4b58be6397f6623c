"""hublet's store on another SQLite for a while: apsw's, with a VFS that tells of every change it makes to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.faults.disk import Change

from hublet.store import schema

Tell = Callable[[Change], None]


@contextmanager
def recording(monkeypatch: pytest.MonkeyPatch, tell: Tell) -> Iterator[None]:
    """While it lasts, what the store does through SQLite is told, in order."""
    vfs = _Vfs(tell)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "_connection", lambda path, mode: _Connection(path, mode))
        yield
    vfs.unregister()


class _Connection:
    """As much of sqlite3.Connection as the store uses."""

    text_factory: object = None

    def __init__(self, path: Path, mode: str) -> None:
        flags = apsw.SQLITE_OPEN_READONLY if mode == "ro" else apsw.SQLITE_OPEN_READWRITE
        self._real = apsw.Connection(str(path.absolute()), flags=flags, vfs="recording")
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "temp_store = MEMORY"):
            self._real.execute(f"PRAGMA {pragma}")

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        return self._real.execute(statement, tuple(parameters))

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> Any:
        return self._real.executemany(statement, [tuple(row) for row in rows])

    def close(self) -> None:
        with suppress(apsw.IOError):  # a reader asks for the lock that it would need to remove the WAL, and is refused
            self._real.close()


class _Vfs(apsw.VFS):
    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        super().__init__("recording", "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.tell(Change("unlink", filename))
        if syncdir:
            self.tell(Change("sync", str(Path(filename).parent)))


class _File(apsw.VFSFile):
    def __init__(self, vfs: _Vfs, name: Any, flags: list[int]) -> None:
        self._tell = vfs.tell
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._new = bool(flags[0] & apsw.SQLITE_OPEN_CREATE) and not Path(self._path).exists()
        super().__init__("", name, flags)
        if self._new:
            self._tell(Change("create", self._path))

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._tell(Change("write", self._path, "", offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._tell(Change("cut", self._path, "", newsize))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._tell(Change("sync", self._path))
        if self._new:  # with the first flush of a new WAL or journal SQLite flushes its folder too
            self._tell(Change("sync", str(Path(self._path).parent)))
            self._new = False
