"""Writing files into a folder of the user's: each file whole or not at all, and nothing that the user has made is lost.

`.hublet-export.json` in the folder lists the files that were written, with the SHA-256 digest of each text. A file is
replaced or removed only while its digest is in that list. A file that the user has edited or made stays as it is, and
the new text is written beside it as NAME.hublet. A text that is there already is not written again. Before a file is
replaced the list holds both its old and its new digest. So a crash at any step leaves old or new files, and all of them
are still known to be ours.

The folder and its subfolders are opened as descriptors, without following symbolic links. So another program that
replaces one of them by a link can't make us write elsewhere.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import field
from pathlib import Path

from hublet.core.errors import HubletError
from hublet.core.values import dataclass

LIST = ".hublet-export.json"
BESIDE = ".hublet"
_LARGEST = 64 * 1024 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Written:
    """What an export did, by relative path. `kept` maps a file that was left as it is to the new one beside it."""

    written: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


def write_files(directory: Path, files: Mapping[str, str]) -> Written:
    """Make a folder hold these texts, by relative path with at most two `/`, and remove our files that are not among
    them. The folder is made if it is not there. Folders get mode 0700, files 0600.

    Raises HubletError for a folder that is a link (nothing is written then) or that can't be written.
    """
    return _write(directory, "files", {path: text.encode() for path, text in files.items()}, remove=True)


def write_beside(path: Path, text: str) -> Written:
    """Write one file into a folder whose other files are none of our business. Raises HubletError."""
    return _write(path.parent, "besides", {path.name: text.encode()}, remove=False)


@dataclass(frozen=True, slots=True)
class Compared:
    """Files that differ from what was to be written: those not there, older ones of ours, and those edited by the
    user."""

    missing: tuple[str, ...] = ()
    older: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()


def compare(directory: Path, files: Mapping[str, str], *, beside: bool = False) -> Compared:
    """Compare the files on disk with the texts for them, without a change. `beside` is for files of `write_beside`.

    Raises HubletError for the same folders as `write_files`, and OSError.
    """
    found: dict[str, list[str]] = {"missing": [], "older": [], "edited": []}
    try:
        with _Folder.open(directory) as folder:
            known = folder.known("besides" if beside else "files")
            for path, text in files.items():
                there = folder.digest(path)
                if there != _digest(text.encode()):
                    kind = "missing" if there is None else "older" if there in known.get(path, ()) else "edited"
                    found[kind].append(path)
    except FileNotFoundError:
        return Compared(missing=tuple(files))
    return Compared(*map(tuple, found.values()))


def _write(directory: Path, which: str, files: Mapping[str, bytes], *, remove: bool) -> Written:
    done = Written()
    for path in files:
        if not _is_inside(path):
            raise ValueError(f"not a path inside the folder: {path!r}")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _Folder.open(directory) as folder:
            known = folder.known(which)
            before = {path: list(digests) for path, digests in known.items()}
            for path, text in files.items():
                digests = known.setdefault(path, [])
                if _digest(text) not in digests:
                    digests.append(_digest(text))
            if known != before:
                folder.keep_list(which, known)
            for path, text in files.items():
                _put(folder, path, text, before.get(path, []), done)
            for path in sorted(known.keys() - files.keys()) if remove else ():
                if folder.digest(path) in known[path]:
                    folder.remove(path)
                    done.removed.append(path)
                del known[path]
            last = known | {path: [_digest(text)] for path, text in files.items() if path not in done.kept}
            last = {path: digests for path, digests in last.items() if path not in done.kept}
            if last != known or known != before:
                folder.keep_list(which, last)
    except OSError as error:
        raise HubletError(
            f"{directory} can't be written: {error.strerror}", hint="check the folder's rights and its disk"
        ) from error
    return done


def _is_inside(path: str) -> bool:
    """Whether a relative path stays in the folder, with at most two `/`, and is a name that a file can have."""
    parts = path.split("/")
    if len(parts) > 3 or any(not part or part in (".", "..", LIST) for part in parts) or "\0" in path:
        return False
    try:
        os.fsencode(path)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can write
        return False
    return True


def _put(folder: _Folder, path: str, text: bytes, ours: list[str], done: Written) -> None:
    found = folder.digest(path)
    beside = f"{path}{BESIDE}"
    if found == _digest(text):
        done.unchanged.append(path)
    elif found is None or found in ours:
        folder.replace(path, text)
        done.written.append(path)
    else:
        if folder.digest(beside) != _digest(text):
            folder.replace(beside, text)
        done.kept[path] = beside


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


class _Folder:
    """A folder and its subfolders, held open as descriptors. Methods raise OSError and HubletError."""

    def __init__(self, descriptor: int, stack: ExitStack) -> None:
        self._descriptor, self._stack = descriptor, stack
        self._below: dict[str, int] = {}

    @classmethod
    @contextmanager
    def open(cls, directory: Path) -> Iterator[_Folder]:
        with ExitStack() as stack:
            try:
                descriptor = os.open(directory, _FOLDER)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise HubletError(
                        f"{directory} is not a folder of its own but a link or a file", hint=_NAME
                    ) from None
                raise
            stack.callback(os.close, descriptor)
            info = os.fstat(descriptor)
            if info.st_uid != os.geteuid():
                raise HubletError(f"{directory} belongs to somebody else (uid {info.st_uid})", hint=_NAME)
            if info.st_mode & 0o022:
                raise HubletError(f"{directory} can be changed by others", hint="take their right to write away")
            yield cls(descriptor, stack)

    def known(self, which: str) -> dict[str, list[str]]:
        """Digests by path, from one of the two parts of the list: `files` of `write_files`, `besides` of
        `write_beside`."""
        return self._lists().get(which, {})

    def keep_list(self, which: str, known: Mapping[str, list[str]]) -> None:
        lists = {"what": "files that `hublet export` has written", **self._lists(), which: known}
        self.replace(LIST, json.dumps(lists, indent=1, sort_keys=True).encode() + b"\n")

    def _lists(self) -> dict[str, dict[str, list[str]]]:
        """The list, without paths that no export can have written. The folder may have come from somebody else together
        with its list, and files in the list may be removed."""
        data = self._read(LIST)
        try:
            value = json.loads(data) if data is not None else {}
            return {
                which: {
                    path: [str(digest) for digest in digests]
                    for path, digests in value[which].items()
                    if _is_inside(path)
                }
                for which in ("files", "besides")
                if which in value
            }
        except (ValueError, TypeError, AttributeError, RecursionError):
            return {}  # the list was edited: no file is known to be ours, so none is replaced

    def digest(self, path: str) -> str | None:
        """The digest of a file; None when there is none. Anything but a regular file has a digest that no text has."""
        data = self._read(path)
        return None if data is None else _digest(data)

    def replace(self, path: str, text: bytes) -> None:
        """Replace a file at once: write a temporary file beside it, flush that, rename it, flush the folder."""
        at, name = self._at(path, make=True)
        beside = f".{name}.new"
        with suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=at)  # left by a crash; O_EXCL below makes sure that the file is a new one
        descriptor = os.open(
            beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=at
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            os.rename(beside, name, src_dir_fd=at, dst_dir_fd=at)
        except BaseException:
            os.unlink(beside, dir_fd=at)
            raise
        os.fsync(at)

    def remove(self, path: str) -> None:
        at, name = self._at(path)
        os.unlink(name, dir_fd=at)
        os.fsync(at)
        above = path.rpartition("/")[0]
        while above:
            outer, name = self._at(above)
            try:
                os.rmdir(name, dir_fd=outer)
            except OSError:
                break  # something else is in it
            os.fsync(outer)
            self._below.pop(above)
            above = above.rpartition("/")[0]

    def _read(self, path: str) -> bytes | None:
        try:
            at, name = self._at(path)
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EACCES, errno.ENXIO):
                return _NOT_OURS
            raise
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return _NOT_OURS
            data = file.read(_LARGEST + 1)
        return data if len(data) <= _LARGEST else _NOT_OURS

    def _at(self, path: str, *, make: bool = False) -> tuple[int, str]:
        """The descriptor of the folder that a file is in, and the file's name. With `make` missing folders are made."""
        above, _, name = path.rpartition("/")
        if not above:
            return self._descriptor, name
        if above not in self._below:
            outer, inner = self._at(above, make=make)
            if make:
                with suppress(FileExistsError):
                    os.mkdir(inner, 0o700, dir_fd=outer)
            try:
                descriptor = os.open(inner, _FOLDER, dir_fd=outer)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise HubletError(f"{above} is not a folder but a link or a file", hint=_NAME) from None
                raise
            self._stack.callback(os.close, descriptor)
            self._below[above] = descriptor
        return self._below[above], name


_NAME = "name the folder itself"
_NOT_OURS = b"\0not a file of ours\0"
