"""The steps of `hublet service` as values: --dry-run shows them, else they are carried out one by one."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from pathlib import Path

from hublet.core.errors import ServiceError, UsageError
from hublet.core.values import dataclass

_SEAL = re.compile(r"hublet-sha256: ([0-9a-f]{64})")
_BLANK = "0" * 64
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Write:
    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class Remove:
    path: Path


@dataclass(frozen=True, slots=True)
class Make:
    """Make a folder that only we can enter."""

    path: Path


@dataclass(frozen=True, slots=True)
class Run:
    """Run a command. With `may_fail` it does no harm when it fails."""

    words: tuple[str, ...]
    may_fail: bool = False


Step = Write | Remove | Make | Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a service is rendered from. The service runs `program`, `options`, `run`. `writable` are the folders that
    the sandbox lets it write in; `environment` has only the variables that the user asked for."""

    program: Path
    home: Path
    port: int = 3001
    options: tuple[str, ...] = ()
    writable: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    socket: bool = True
    ipv6: bool = True
    credential: Path | None = None


Asking = Callable[[tuple[str, ...]], "subprocess.CompletedProcess[str]"]
"""Runs a command that changes nothing."""


def ask(words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it said. Raises ServiceError when it does not end within two minutes,
    FileNotFoundError when there is no such program."""
    try:
        return subprocess.run(
            words, capture_output=True, text=True, timeout=_PATIENCE, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise ServiceError(f"{shlex.join(words)} does not end") from None


def perform(steps: Iterable[Step], run: Asking = ask) -> None:
    """Carry out the steps, up to the first that fails. Raises ServiceError."""
    for step in steps:
        try:
            match step:
                case Write(path, text):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    beside = path.with_name(f".{path.name}.new")
                    beside.write_text(text, encoding="utf-8")
                    beside.chmod(0o644)
                    beside.replace(path)
                case Remove(path):
                    path.unlink(missing_ok=True)
                    if path.parent.name.endswith(".d") and not any(path.parent.iterdir()):
                        path.parent.rmdir()
                case Make(path):
                    path.mkdir(mode=0o700, parents=True, exist_ok=True)
                case Run(words, may_fail):
                    done = run(words)
                    if done.returncode and not may_fail:
                        said = (done.stderr or done.stdout).strip().replace("\n", "; ")
                        raise ServiceError(f"`{shlex.join(words)}` failed: {said or f'exit {done.returncode}'}")
        except OSError as error:
            raise ServiceError(f"{describe(step)}: {error.strerror or error}") from error


def describe(step: Step) -> str:
    match step:
        case Write(path, _):
            return f"write {path}"
        case Remove(path):
            return f"remove {path}"
        case Make(path):
            return f"make {path} (0700)"
        case Run(words, _):
            return f"run {shlex.join(words)}"


def sealed(text: str) -> str:
    """The text with its own hash in the place of the zeros of `seal_line`, so that an edit by hand is noticed later."""
    return text.replace(_BLANK, hashlib.sha256(text.encode()).hexdigest(), 1)


def seal_line() -> str:
    return f"hublet-sha256: {_BLANK}"


def is_as_written(text: str) -> bool:
    """Whether nobody has changed a text since `sealed` made it."""
    found = _SEAL.search(text)
    return found is not None and sealed(text.replace(found[1], _BLANK, 1)) == text


def content_of(path: Path) -> str | None:
    """A file's text; None when there is no file. Empty for a symbolic link, another kind of file and what is not UTF-8:
    these count as an edit by hand."""
    if not os.path.lexists(path):
        return None
    try:
        return path.read_text(encoding="utf-8") if not path.is_symlink() else ""
    except (OSError, UnicodeDecodeError):
        return ""


def refuse_edited(paths: Iterable[Path], doing: str) -> None:
    """Raises UsageError, with the names of the files that are not as we wrote them; `doing` says what is not done."""
    edited = [str(path) for path in paths if (text := content_of(path)) is not None and not is_as_written(text)]
    if edited:
        raise UsageError(
            f"{', '.join(edited)}: edited by hand, and not {doing}",
            hint="move what you need to a drop-in (`systemctl --user edit hublet`), then use --force",
        )
