"""Points clients at localhost by files that they read. Each change is recorded and can be undone exactly.

A change is always a new file, with the folders that it needs; existing files are never changed. The record of changes
is a JSON file in the data directory, without secrets. A file that somebody has changed since is not removed but named.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from hublet.core.values import dataclass

Client = Literal["cn", "jetbrains", "vscode"]
Outcome = Literal[
    "written", "there already", "differs", "removed", "gone", "changed since", "would write", "would remove"
]

SHELLS = ("bash", "zsh", "fish")
_RECORD = "pointing.json"


@dataclass(frozen=True, slots=True)
class Pointer:
    """A file that points a client here, with its whole content."""

    path: Path
    content: str


@dataclass(frozen=True, slots=True)
class _Made:
    """What one change made: the file's content, and the folders that did not exist before, the outermost first."""

    content: str
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    path: Path
    outcome: Outcome


def base_url(port: int) -> str:
    return f"http://localhost:{port}/"


def pointers(client: Client, port: int, environment: Mapping[str, str]) -> tuple[Pointer, ...]:
    """The files that point a client at a port. Raises ValueError for an IDE and another port than 3001, which IDEs have
    built in."""
    home = Path(environment.get("HOME") or Path.home())
    if client == "cn":
        config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
        return (Pointer(config / "environment.d" / "50-hublet.conf", f"CONTINUE_API_BASE={base_url(port)}\n"),)
    if port != 3001:
        raise ValueError("the IDE extensions know port 3001 only: leave serve.port at its default")
    folder = Path(environment.get("CONTINUE_GLOBAL_DIR") or home / ".continue")
    return (Pointer(folder / ".local", ""),)


def shell_line(shell: str, port: int) -> str:
    """The line for a shell's start-up file that points `cn` here."""
    if shell == "fish":
        return f"set -gx CONTINUE_API_BASE {base_url(port)}"
    return f"export CONTINUE_API_BASE={base_url(port)}"


def point(wanted: tuple[Pointer, ...], data: Path, *, dry_run: bool = False) -> list[Done]:
    """Write the files that do not exist yet, and record them. A file that exists is never changed. Raises OSError."""
    record = _read(data)
    done: list[Done] = []
    for pointer in wanted:
        have = _content(pointer.path)
        if have is not None:
            done.append(Done(pointer.path, "there already" if have == pointer.content else "differs"))
        elif dry_run:
            done.append(Done(pointer.path, "would write"))
        else:
            absent = [str(folder) for folder in reversed(pointer.path.parents) if not os.path.lexists(folder)]
            record[str(pointer.path)] = made = _Made(pointer.content, tuple(absent))
            _write(data, record)  # before the change: what is not recorded could not be undone
            try:
                pointer.path.parent.mkdir(parents=True, exist_ok=True)
                with pointer.path.open("x", encoding="utf-8") as file:
                    file.write(pointer.content)
            except OSError:
                _remove_empty(made.folders)
                del record[str(pointer.path)]
                _write(data, record)
                raise
            done.append(Done(pointer.path, "written"))
    return done


def unpoint(data: Path, *, dry_run: bool = False) -> list[Done]:
    """Undo every recorded change. Raises OSError."""
    record = _read(data)
    done: list[Done] = []
    for name, made in list(record.items()):
        path = Path(name)
        have = _content(path)
        if have is not None and (have != made.content or path.is_symlink()):
            done.append(Done(path, "changed since"))
            continue
        if dry_run:
            done.append(Done(path, "would remove" if have is not None else "gone"))
            continue
        path.unlink(missing_ok=True)
        _remove_empty(made.folders)
        del record[name]
        _write(data, record)
        done.append(Done(path, "removed" if have is not None else "gone"))
    return done


def _remove_empty(folders: tuple[str, ...]) -> None:
    """Remove folders that we made, except those that have something in them now."""
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def _content(path: Path) -> str | None:
    """A file's content; None when there is none. What can't be read as text gives a content that no file of ours
    has."""
    if not os.path.lexists(path):
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return "\0"


def _read(data: Path) -> dict[str, _Made]:
    try:
        value = json.loads((data / _RECORD).read_text(encoding="utf-8"))
        return {path: _Made(str(made["content"]), tuple(map(str, made["folders"]))) for path, made in value.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OSError(errno.EINVAL, "the record of what was pointed here can't be read", str(data / _RECORD)) from None


def _write(data: Path, record: Mapping[str, _Made]) -> None:
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data / _RECORD
    if not record:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({name: asdict(made) for name, made in record.items()}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
