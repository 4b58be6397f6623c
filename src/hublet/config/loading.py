"""The config: the file is found, read by the table in settings.py, and held as values. All problems of a file are
reported at once, each with its line."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from hublet.config import reading
from hublet.config.locating import system_runtime, user_place
from hublet.config.managed import Managed, load_managed
from hublet.config.reading import Node, Other, Report, Scalar, Sequence, Table
from hublet.config.settings import Setting, settings
from hublet.core.errors import ConfigError
from hublet.core.values import dataclass

# Durations are in seconds, sizes in bytes. `settings.py` says what each key means.


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    url: str
    ca_file: Path | None
    timeout: int
    connect_timeout: int
    size_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    every: int
    proxied: Literal["auto", "always", "never"]
    unasked: Literal["normal", "slow", "pause"]
    on_battery: Literal["normal", "slow", "pause"]
    parallel: int
    hold_commands: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    port: int
    socket: Path | None
    access: Literal["either", "same-user", "token", "both"]
    wait: int
    ready_within: int | None
    passthrough: Literal["listed", "all", "none"]
    passthrough_as_account: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    directory: Path | None
    runtime_directory: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsSettings:
    max_stale: int
    override: Path | tuple[str, ...] | None
    override_environment: tuple[str, ...]
    override_timeout: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySettings:
    keep: int
    max_age: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    directory: Path | None
    layout: Literal["agents", "single", "skills"]
    default: str | None
    env: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysSettings:
    source: Literal["file", "keyring", "passphrase", "credential"]
    file: Path | None
    passphrase_file: Path | None
    passphrase_fd: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    syslog: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    level: Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Places:
    """Where hublet's things are on this machine. `key_file` is the file of the key source `file`."""

    data: Path
    runtime: Path
    key_file: Path

    @property
    def admin_socket(self) -> Path:
        return self.runtime / "admin.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    hub: HubSettings
    sync: SyncSettings
    serve: ServeSettings
    cache: CacheSettings
    secrets: SecretsSettings
    history: HistorySettings
    export: ExportSettings
    keys: KeysSettings
    audit: AuditSettings
    log: LogSettings

    def locate(self) -> Places:
        """The configured places, or the platform's (XDG_ variables come from the environment). Nothing is created."""
        data = self.cache.directory or user_place("data", "hublet")
        runtime = self.cache.runtime_directory or system_runtime(os.environ) or data / "run"
        # A folder of its own, because on macOS state and data are one folder, and the key must not lie within the data.
        key_file = self.keys.file or user_place("state", "hublet-key") / "kek"
        return Places(data, runtime, key_file)


_NOTHING_MANAGED = Managed()

_sections: dict[str, type[Any]] = {
    "hub": HubSettings,
    "sync": SyncSettings,
    "serve": ServeSettings,
    "cache": CacheSettings,
    "secrets": SecretsSettings,
    "history": HistorySettings,
    "export": ExportSettings,
    "keys": KeysSettings,
    "audit": AuditSettings,
    "log": LogSettings,
}


def find_config(flag: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: `--config`, else HUBLET_CONFIG, else the platform's usual one if it exists, else None.

    Raises ConfigError when a file was named and does not exist: then the defaults are not what was meant.
    """
    named = flag or (Path(environ["HUBLET_CONFIG"]) if environ.get("HUBLET_CONFIG") else None)
    if named is not None:
        if not named.exists():
            by = "--config" if flag else "HUBLET_CONFIG"
            raise ConfigError((f"{named}: there is no such file",), hint=f"{by} names it")
        return named
    path = usual_config()
    # A symbolic link to nowhere counts as existing: a config was meant to be there.
    return path if os.path.lexists(path) else None


def usual_config() -> Path:
    """The path of the config file when none is named. There may be no file."""
    return user_place("config", "hublet") / "config.yaml"


def load_config(path: Path | None, managed: Managed | None = None) -> Config:
    """The config in a file, or the defaults when `path` is None. `managed` are the administrator's settings, by default
    those of this machine. Raises ConfigError with all problems of the file.

    The file must belong to us or to root and be writable by its owner alone, because it says where the Hub's key is
    sent.
    """
    managed = managed if managed is not None else load_managed()
    if path is None:
        return _build({}, managed)
    try:
        # O_NONBLOCK, because there may be a pipe in the file's place. The descriptor is checked, and then read.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if (distrust := judge_file(os.fstat(descriptor), os.geteuid())) is not None:
                raise ConfigError((f"{path}: {distrust}",), hint=f"chmod go-w {path}, and see who owns it")
            content = file.read(reading.size_limit + 1)
    except OSError as error:
        raise ConfigError((f"{path}: can't be read: {error.strerror}",)) from error
    if len(content) > reading.size_limit:
        raise ConfigError((f"{path}: is larger than {reading.size_limit} bytes",))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError((f"{path}:{line}: this is not UTF-8",)) from None
    return parse_config(text, str(path), managed)


def judge_file(info: os.stat_result, uid: int) -> str | None:
    """Why a config file can't be trusted, None when it can."""
    if not stat.S_ISREG(info.st_mode):
        return "is not a regular file"
    if info.st_uid not in (uid, 0):
        return f"belongs to another user (uid {info.st_uid})"
    if info.st_mode & 0o022:
        return f"can be changed by others (mode {stat.S_IMODE(info.st_mode):04o})"
    return None


def parse_config(text: str, name: str, managed: Managed = _NOTHING_MANAGED) -> Config:
    """The config in a text. `name` is the file's name for the problems. Raises ConfigError with all of them."""
    problems: list[tuple[int, str]] = []

    def report(line: int, key: str, what: str) -> None:
        problems.append((line, f"{name}:{line}: {key}: {what}" if key else f"{name}:{line}: {what}"))

    given: dict[str, object] = {}
    try:
        given = _read(reading.read_tree(text, report), report, managed)
    except reading.Unreadable as error:
        report(error.line, "", error.what)
    if problems:
        raise ConfigError(
            tuple(problem for _, problem in sorted(problems, key=lambda problem: problem[0])),
            hint="config.example.yaml explains every key",
        )
    return _build(given, managed)


def _read(root: Node | None, report: Report, managed: Managed) -> dict[str, object]:
    table = {setting.path: setting for setting in settings}
    given: dict[str, object] = {}
    for section, node in _entries(root, "", report):
        if section.text not in _sections:
            report(section.line, section.text, f"unknown key{_meant(section.text, '', table)}")
            continue
        for name, value in _entries(node, section.text, report):
            path = f"{section.text}.{name.text}"
            if path not in table:
                report(name.line, path, f"unknown key{_meant(name.text, section.text, table)}")
            elif not isinstance(value, Other):
                try:
                    given[path] = _value(table[path], value)
                    if (weaker := managed.weaker(path, given[path])) is not None:
                        report(value.line, path, weaker)
                except ValueError as error:
                    report(value.line, path, str(error))
    return given


def _value(setting: Setting, node: Scalar | Sequence | Table) -> object:
    """A key's value, parsed. Raises ValueError."""
    if isinstance(node, Scalar):
        return setting.parse(node)
    if isinstance(node, Table) or setting.parse_list is None:
        raise ValueError("must be a single value")
    words = tuple(item.text for item in node.items if isinstance(item, Scalar))
    if len(words) != len(node.items):
        raise ValueError("must be a list of words")
    return setting.parse_list(words)


def _entries(node: Node | None, key: str, report: Report) -> tuple[tuple[Scalar, Node], ...]:
    if isinstance(node, Table):
        return node.entries
    # A name with nothing below it is allowed: all its keys may be commented out.
    if node is not None and not (isinstance(node, Scalar) and node.is_null) and not isinstance(node, Other):
        report(node.line, key, "must hold keys, each on a line of its own below it")
    return ()


def _meant(name: str, section: str, table: Mapping[str, Setting]) -> str:
    """`: did you mean …?` for a name that is nearly one of ours, or belongs to another section; else an empty text."""
    from difflib import get_close_matches

    here = [path.partition(".")[2] for path in table if path.startswith(f"{section}.")] if section else list(_sections)
    elsewhere = {path.partition(".")[2]: path for path in table} | {path: path for path in table}
    nearest = get_close_matches(name, [*here, *elsewhere], 1)
    if name not in elsewhere and nearest and nearest[0] in here:
        return f": did you mean {nearest[0]}?"
    if near := get_close_matches(name, elsewhere, 1, 0.7):
        outer, _, inner = elsewhere[near[0]].partition(".")
        return f": did you mean {inner} below {outer}?"
    return ""


def _build(given: Mapping[str, object], managed: Managed) -> Config:
    values: dict[str, dict[str, object]] = {section: {} for section in _sections}
    for setting in settings:
        section, _, name = setting.path.partition(".")
        if setting.path in given:
            values[section][name] = given[setting.path]
        else:
            values[section][name] = managed.instead(setting.path, setting.default_value())
    return Config(**{section: make(**values[section]) for section, make in _sections.items()})
