"""An archive for a bug report: what was found, and what it was found in, without what is nobody else's business.

    findings.json  status.json  process.json  config.json  versions.json  log.txt  units/

Three nets, one after the other. What is put in is chosen: no file is copied but units and the log's last lines, of the
config the values in force, where a text of your own (an address, a path, a command) is a mark. Names from the Hub
(assistants, organizations, secrets, messages) become marks, the same name the same mark, in all files. And every
text goes through the redactor of logs: held secrets, and whatever looks like a key, a token or a sign-in.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import socket
import sys
import tarfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hublet import __version__
from hublet.core.address import is_loopback
from hublet.core.errors import HubletError, UsageError
from hublet.doctor.findings import Finding
from hublet.doctor.scene import Scene
from hublet.doctor.service import asked, systemd_of
from hublet.host.steps import content_of
from hublet.redaction import STARS, without_sign_in
from hublet.serve.examining import network_of
from hublet.settings import settings

_LOG_LINES = 500
_LIBRARIES = ("apscheduler", "click", "cryptography", "httptools", "httpx", "orjson", "pyyaml", "rich", "watchdog")
_FROM_THE_HUB = frozenset(
    {
        "slug",
        "title",
        "name",
        "what",
        "scope",
        "detail",
        "error",
        "changes",
        "gone",
        "kept",
        "referred_by",
        "reason",
        "unsaved_reason",
    }
)
"""Members of the status whose texts the Hub, or somebody at the Hub, has chosen, or may have."""
_ORDINARY = frozenset({"policy", "organizations", "personal", "everything", "the Hub answered", ""})
_VARIABLE = re.compile(r"^(\s*(?:Environment|PassEnvironment|EnvironmentFile)=)(.*)$", re.MULTILINE)
_OWN_WORDS = re.compile(r"[a-z]+([._-][a-z0-9]+)*|[0-9]+")
"""A value of the config that is one of hublet's own words, a number or true or false."""


def refuse_existing(file: Path) -> None:
    """Raises UsageError, before anything is looked at for it."""
    if os.path.lexists(file):
        raise UsageError(f"{file} is there already", hint="name another file: nothing is overwritten")


def write(file: Path, scene: Scene, findings: Iterable[Finding]) -> None:
    """Write it, for its owner alone. Raises UsageError when something is there already, or it can't be written."""
    members = _members(scene, list(findings))
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as opened, tarfile.open(fileobj=opened, mode="w:gz") as archive:
        for name, text in members.items():
            data = text.encode()
            info = tarfile.TarInfo(f"hublet-report/{name}")
            info.size, info.mode, info.mtime = len(data), 0o600, int(time.time())
            archive.addfile(info, io.BytesIO(data))


def _members(scene: Scene, findings: list[Finding]) -> dict[str, str]:
    """The files by name, redacted."""
    process = {name: value for name, value in scene.facts.get("process", {}).items() if name != "network"}
    network = scene.facts.get("process", {}).get("network", {})
    texts = {
        "findings.json": _json([finding.to_plain() for finding in findings]),
        "status.json": _json(scene.status),
        "process.json": _json(process | {"network": sorted(network), "store": scene.facts.get("store")}),
        "config.json": _json(_config(scene)),
        "versions.json": _json(_versions()),
        "log.txt": _log(scene),
        **_units(scene),
    }
    marks = _Marks(scene)
    return {name: marks.text(text) for name, text in texts.items()}


class _Marks:
    """What stands in the place of names. Longer ones go first: one may hold another."""

    def __init__(self, scene: Scene) -> None:
        self._redact = scene.redactor.text
        names = dict.fromkeys(name for name in _names(scene.facts) if name not in _ORDINARY and len(name) > 2)
        found = {name: f"<name {number}>" for number, name in enumerate(names, 1)}
        if (host := _host(scene)) is not None:
            found[host] = "<the Hub's host>"
        found |= dict.fromkeys(_proxies(scene), "<a proxy's host>")
        found |= {str(scene.home): "~", socket.gethostname(): "<this machine>"}
        if (user := scene.environment.get("USER", "")) not in ("", "root", "hublet"):
            found[user] = "<user>"
        self._marks = [(text, found[text]) for text in sorted(found, key=len, reverse=True) if len(text) > 1]

    def text(self, text: str) -> str:
        text = without_sign_in(self._redact(text))
        for name, mark in self._marks:
            for form in {name, json.dumps(name, ensure_ascii=False)[1:-1]}:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", mark, text)
        return text


def _names(value: Any, key: str = "") -> Iterable[str]:
    """Every text in the facts that comes from the Hub."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _names(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _names(part, key)
    elif isinstance(value, str) and key in _FROM_THE_HUB:
        yield value


def _proxies(scene: Scene) -> list[str]:
    told = scene.facts.get("process", {}).get("network", {})
    found = [value for each in (told, network_of(scene.environment)) for name, value in each.items() if "PROXY" in name]
    hosts = (urlsplit(value if "//" in value else f"//{value}").hostname for value in found if "," not in value)
    return [host for host in hosts if host and not is_loopback(host)]


def _host(scene: Scene) -> str | None:
    """The Hub's host, where it is not the one that everybody uses."""
    default = next(setting.default for setting in settings if setting.path == "hub.url")
    host = urlsplit(scene.config.hub.url).hostname
    return host if host != urlsplit(default).hostname and not is_loopback(host or "") else None


def _config(scene: Scene) -> dict[str, Any]:
    """The values in force. What is neither a number nor one of hublet's words is a mark, unless it is the default."""
    found: dict[str, Any] = {"file": scene.file is not None, "managed": list(scene.managed.texts)}
    for setting in settings:
        section, _, name = setting.path.partition(".")
        value = asdict(scene.config)[section][name]
        shown = value if isinstance(value, int | bool | None) else str(value)
        own = not isinstance(shown, str) or (isinstance(value, str) and _OWN_WORDS.fullmatch(shown))
        found[setting.path] = shown if own or value == setting.default_value() else "<set>"
    return found


def _versions() -> dict[str, Any]:
    found: dict[str, Any] = {"hublet": __version__, "python": sys.version, "platform": platform.platform()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _log(scene: Scene) -> str:
    """The service's last lines, where the journal has them."""
    if sys.platform != "linux":
        return "see ~/Library/Logs/hublet.log\n"
    words = (
        "journalctl",
        "--user",
        "--unit",
        "hublet.service",
        "--lines",
        str(_LOG_LINES),
        "--no-pager",
        "--output",
        "short-iso",
    )
    try:
        return asked(scene, *words).stdout
    except HubletError as error:
        return f"none: {error.message}\n"


def _units(scene: Scene) -> dict[str, str]:
    """The units that install wrote, edited or not, without the values of variables."""
    if sys.platform != "linux":
        return {}
    manager = systemd_of(scene)
    files = [*manager.paths, *sorted(manager.folder.glob("hublet.service.d/*.conf"))]
    return {
        f"units/{path.relative_to(manager.folder)}": _VARIABLE.sub(_starred, text)
        for path in dict.fromkeys(files)
        if (text := content_of(path))
    }


def _starred(line: re.Match[str]) -> str:
    names = re.findall(r"(\w+)=", line[2])
    return line[1] + " ".join(f"{name}={STARS}" for name in names) if names else line[1] + STARS


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=False) + "\n"
