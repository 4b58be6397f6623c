"""The archive of `hublet doctor --bundle`, for a bug report: the findings and what they were found in, without anything
that is private to the user.

    findings.json  status.json  process.json  config.json  versions.json  log.txt  units/

Three safeguards, one after the other:

1. Only chosen things are put in. The systemd units and the last lines of the log are the only files that are copied. Of
   the config only the values in force are told; a value that the user wrote (an address, a path, a command) is replaced
   by `<set>`.
2. Names from the Hub (assistants, organizations, secrets, messages) are replaced by marks such as `<name 3>`. The same
   name gets the same mark in all files.
3. Every text goes through the redactor that the logs go through. It takes out the secrets that hublet holds, and
   whatever looks like a key, a token or a sign-in.
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
from hublet.config.settings import settings
from hublet.core.address import is_loopback
from hublet.core.errors import HubletError, UsageError
from hublet.doctor.findings import Finding
from hublet.doctor.scene import Scene
from hublet.doctor.service import asked, systemd_of
from hublet.host.steps import content_of
from hublet.redaction import STARS, without_sign_in
from hublet.serve.examining import network_of

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
"""Members of the status whose texts come, or may come, from the Hub or from somebody who writes there."""
_ORDINARY = frozenset({"policy", "organizations", "personal", "everything", "the Hub answered", ""})
_VARIABLE = re.compile(r"^(\s*(?:Environment|PassEnvironment|EnvironmentFile)=)(.*)$", re.MULTILINE)
_OWN_WORDS = re.compile(r"[a-z]+([._-][a-z0-9]+)*|[0-9]+")
"""A value of the config that hublet itself knows: one of its own words, a number, true or false."""


def refuse_existing(file: Path) -> None:
    """Raises UsageError when something is there already. Called before the checks run, which take a while."""
    if os.path.lexists(file):
        raise UsageError(f"{file} is there already", hint="name another file: nothing is overwritten")


def write(file: Path, scene: Scene, findings: Iterable[Finding]) -> None:
    """Write the archive with mode 0600. Raises UsageError when the file exists already or can't be written."""
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
    """The texts of the archive by file name, redacted."""
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
    """Replaces names by marks. Longer names are replaced first, since one name may contain another."""

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
    """Every text in the facts that comes, or may come, from the Hub."""
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
    """The Hub's host; None for the default Hub and for one on this machine, which give nothing away."""
    default = next(setting.default for setting in settings if setting.path == "hub.url")
    host = urlsplit(scene.config.hub.url).hostname
    return host if host != urlsplit(default).hostname and not is_loopback(host or "") else None


def _config(scene: Scene) -> dict[str, Any]:
    """The config values in force. A text that is neither the default nor one of hublet's own words becomes `<set>`."""
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
    """The last lines of the service's log, as far as the journal has them."""
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
    """The unit files and drop-ins, whether edited or not, without the values of environment variables."""
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
