"""The administrator's settings for all users of this machine, which a user's config can't weaken.

    /etc/hublet/managed.yaml    hub: {url}  serve: {access, passthrough, passthrough_as_account}  secrets: {max_stale}
                                unlock_offline: true | false   export: true | false

The table `_STRICTNESS` says for each key which values are as strict as the managed one. A weaker value in a user's
config is an error that names this file; a stricter one is kept. Where the user's config has no value, the default
counts if it is strict enough, else the managed value. File and folder must belong to root and be writable by root
alone. If they are not, or if the file can't be read, hublet does not start: a machine that should be managed must not
run unmanaged. The path is fixed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType

from hublet.config import reading
from hublet.config.reading import Other, Report, Scalar, Table
from hublet.config.settings import boolean, settings
from hublet.core.account import origin_of
from hublet.core.errors import ConfigError
from hublet.core.values import dataclass

MANAGED_FILE = Path("/etc/hublet/managed.yaml")

_ACCESS = {
    "either": ("either", "same-user", "token", "both"),
    "same-user": ("same-user", "both"),
    "token": ("token", "both"),
    "both": ("both",),
}
_PASSTHROUGH = ("none", "listed", "all")

_STRICTNESS: Mapping[str, Callable[[object, object], bool]] = MappingProxyType(
    {
        "hub.url": lambda given, managed: origin_of(str(given)) == origin_of(str(managed)),
        "serve.access": lambda given, managed: given in _ACCESS[str(managed)],
        "serve.passthrough": lambda given, managed: _PASSTHROUGH.index(str(given)) <= _PASSTHROUGH.index(str(managed)),
        "serve.passthrough_as_account": lambda given, managed: given is False or managed is True,
        "secrets.max_stale": lambda given, managed: isinstance(given, int) and given <= _number(managed),
    }
)
"""For each key: whether the given value is at least as strict as the managed one."""

_SWITCHES = ("unlock_offline", "export")


@dataclass(frozen=True, slots=True)
class Managed:
    """`values` are the managed keys, and `texts` the same values as the file has them. Keys that the file does not have
    are up to the user."""

    file: Path = MANAGED_FILE
    values: Mapping[str, object] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    unlock_offline: bool = True
    export: bool = True

    def weaker(self, key: str, given: object) -> str | None:
        """Why a user's config may not have this value; None when it may."""
        if key not in self.values or _STRICTNESS[key](given, self.values[key]):
            return None
        return f"is managed: {self.file} says {self.texts[key]}, and this is weaker or another"

    def instead(self, key: str, default: object) -> object:
        """The value for a key that the user's config does not have."""
        return default if self.weaker(key, default) is None else self.values[key]

    def described(self) -> tuple[str, ...]:
        """A line for each thing that is managed."""
        lines = [f"{key}: {text}" for key, text in self.texts.items()]
        return (*lines, *(f"{name}: false" for name in _SWITCHES if not getattr(self, name)))


def load_managed(path: Path = MANAGED_FILE, *, owner: int = 0) -> Managed:
    """The settings in the administrator's file; none when there is no file. `owner` is the uid that it must belong to.

    Raises ConfigError for a file that can't be trusted, read or understood.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Managed(path)
    except OSError as error:
        raise ConfigError((f"{path}: can't be read: {error.strerror}",), hint=_ASK) from None
    try:
        with os.fdopen(descriptor, "rb") as file:
            what = "" if stat.S_ISREG(os.fstat(descriptor).st_mode) else "is not a regular file"
            what = what or _judge(os.fstat(descriptor), owner)
            what = what or (
                _judge(path.parent.stat(), owner) and f"is in a folder that {_judge(path.parent.stat(), owner)}"
            )
            if what:
                raise ConfigError((f"{path}: {what}",), hint=_ASK)
            content = file.read(reading.size_limit + 1)
        if len(content) > reading.size_limit:
            raise ConfigError((f"{path}: is larger than {reading.size_limit} bytes",), hint=_ASK)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError((f"{path}: can't be read: {error.strerror}",), hint=_ASK) from None
    except UnicodeDecodeError:
        raise ConfigError((f"{path}: this is not UTF-8",), hint=_ASK) from None
    return _parse(text, path)


_ASK = "this file is the administrator's: ask them"


def _judge(info: os.stat_result, owner: int) -> str:
    if info.st_uid != owner:
        return f"does not belong to root (but to uid {info.st_uid})"
    return f"can be changed by others (mode {stat.S_IMODE(info.st_mode):04o})" if info.st_mode & 0o022 else ""


def _parse(text: str, path: Path) -> Managed:
    problems: list[tuple[int, str]] = []

    def report(line: int, key: str, what: str) -> None:
        problems.append((line, f"{path}:{line}: {key}: {what}" if key else f"{path}:{line}: {what}"))

    values: dict[str, object] = {}
    texts: dict[str, str] = {}
    switches: dict[str, bool] = {}
    try:
        for name, node in _flat(reading.read_tree(text, report), "", report):
            try:
                if name in _SWITCHES:
                    switches[name] = boolean(node)
                elif name in _STRICTNESS:
                    values[name] = next(s for s in settings if s.path == name).parse(node)
                    texts[name] = node.text
                else:
                    report(node.line, name, "unknown key: it can't be managed")
            except ValueError as error:
                report(node.line, name, str(error))
    except reading.Unreadable as error:
        report(error.line, "", error.what)
    if problems:
        raise ConfigError(tuple(problem for _, problem in sorted(problems, key=lambda p: p[0])), hint=_ASK)
    return Managed(path, values, texts, switches.get("unlock_offline", True), switches.get("export", True))


def _flat(node: reading.Node | None, above: str, report: Report) -> list[tuple[str, Scalar]]:
    """Each single value below a node, with its dotted name. Anything else is reported."""
    match node:
        case Table(entries=entries):
            return [
                found for name, child in entries for found in _flat(child, f"{above}.{name.text}".strip("."), report)
            ]
        case Scalar() if above:
            return [(above, node)]
        case None | Other():
            return []
    report(node.line, above, "must hold keys and single values")
    return []


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value
