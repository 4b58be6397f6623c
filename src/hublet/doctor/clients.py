"""Which hub each client would really ask, by environment variables, session files, shell profiles and the IDEs' marks.

cn, SDKs      CONTINUE_API_BASE, as it is set in this shell, in environment.d, in a shell's profile or in .env
the IDEs      the Hub of an on-premises license, else hublet's port if ~/.continue/.local exists, else the staging Hub
              if .staging exists, else the production Hub
"""

from __future__ import annotations

import json
import plistlib
import re
import sys
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hublet.core.address import is_loopback
from hublet.core.values import dataclass
from hublet.doctor.findings import Finding, Findings, ok, problem, warning
from hublet.doctor.scene import Scene
from hublet.serve.examining import without_sign_in

_NAME = "CONTINUE_API_BASE"
_LINES = re.compile(
    rf"^\s*(?:export\s+|set\s+(?:-\S+\s+)*(?={_NAME}\s))?{_NAME}(?:=|\s+)[\"']?([^\s\"';]*)", re.MULTILINE
)
_PROFILES = (
    ".profile",
    ".bash_profile",
    ".bash_login",
    ".bashrc",
    ".zshenv",
    ".zprofile",
    ".zshrc",
    ".zlogin",
    ".config/fish/config.fish",
    ".config/fish/conf.d/*.fish",
)
_LARGEST = 1024 * 1024
_IDE_PORT = 3001
_UNPOINT = "`hublet point`, after taking that line out"


@dataclass(frozen=True, slots=True)
class _Said:
    where: str
    url: str


def clients(scene: Scene) -> Findings:
    """A finding for each place that tells a client where to go, and a warning when no client is led to this hublet."""
    found = [*_by_variable(scene), *_ides(scene)]
    yield from found
    if not any(finding.leads_here for finding in found):
        yield warning("clients", "no client is pointed here: cn and the IDEs ask the Hub itself", "`hublet point`")


def _by_variable(scene: Scene) -> Iterator[Finding]:
    found = list(_places(scene))
    for said in found:
        yield _judged(said, scene.port)
    if not found:
        yield ok("clients.cn", "cn and the SDKs ask the production Hub: nothing sets CONTINUE_API_BASE")
    elif len({said.url.rstrip("/") for said in found}) > 1:
        yield warning("clients.cn", f"{_NAME} has different values: it depends on how a client is started", _UNPOINT)


def _places(scene: Scene) -> Iterator[_Said]:
    if value := scene.environment.get(_NAME):
        yield _Said("this shell's environment", value)
    config = Path(scene.environment.get("XDG_CONFIG_HOME") or scene.home / ".config")
    session = [said for file in sorted(config.glob("environment.d/*.conf")) for said in _lines(file)]
    yield from session[-1:]  # of several files the last one counts (environment.d(5))
    zdot = scene.environment.get("ZDOTDIR")
    for pattern in _PROFILES:
        root = Path(zdot) if zdot and pattern.startswith(".z") else scene.home
        for file in sorted(root.glob(pattern)):
            yield from list(_lines(file))[-1:]
    yield from list(_lines(Path.cwd() / ".env"))[-1:]  # cn reads the .env of the folder in which it is started


def _lines(file: Path) -> Iterator[_Said]:
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return
    for found in _LINES.finditer(text):
        yield _Said(f"{file}:{text.count(chr(10), 0, found.start(1)) + 1}", found[1])


def _judged(said: _Said, port: int) -> Finding:
    try:
        parts = urlsplit(said.url)
        host, number = parts.hostname or "", parts.port
    except ValueError:
        return problem("clients.cn", f"{said.where} sets {_NAME} to what is no address", _UNPOINT)
    shown = without_sign_in(said.url)
    if not is_loopback(host):
        return warning("clients.cn", f"cn and the SDKs ask {shown or 'nobody'} ({said.where}), not hublet", _UNPOINT)
    if parts.scheme != "http":
        return problem("clients.cn", f"{said.where} says {shown}: hublet speaks http on this machine", _UNPOINT)
    if (number or 80) != port:
        return problem("clients.cn", f"{said.where} says {shown}, and hublet serves port {port}", _UNPOINT)
    if parts.path not in ("", "/"):
        return problem("clients.cn", f"{said.where} says {shown}: hublet has no path {parts.path}", _UNPOINT)
    return _leads_here("clients.cn", f"cn and the SDKs ask this hublet ({said.where})")


def _leads_here(check: str, message: str) -> Finding:
    return Finding(check, "ok", message, leads_here=True)


def _ides(scene: Scene) -> Iterator[Finding]:
    folder = Path(scene.environment.get("CONTINUE_GLOBAL_DIR") or scene.home / ".continue")
    local, staging = folder / ".local", folder / ".staging"
    for file in _license_files(scene.home):
        if (found := _license(file)) is not None:
            valid, address = found
            if valid:
                yield warning(
                    "clients.ide",
                    f"the IDEs ask {address}: the license {file} goes before everything else",
                    "nothing, if your company runs its own Hub: then hub.url is to name it",
                )
                return
            yield ok("clients.ide", f"the license {file} has ended, and is not heeded")
    if local.exists() and scene.port != _IDE_PORT:
        yield problem(
            "clients.ide",
            f"{local} sends the IDEs to port {_IDE_PORT}, and hublet serves {scene.port}",
            f"leave serve.port at {_IDE_PORT}, or `hublet unpoint`",
        )
    elif local.exists():
        yield _leads_here("clients.ide", f"the IDEs ask this hublet ({local})")
        if staging.exists():
            yield ok("clients.ide", f"{staging} is not heeded beside .local")
    elif staging.exists():
        yield warning("clients.ide", f"{staging} sends the IDEs to the staging Hub", f"rm {staging}")
    else:
        yield ok("clients.ide", f"the IDEs ask the production Hub: there is no {local}")


def _license_files(home: Path) -> tuple[Path, ...]:
    """Where Continue looks for a license, in the order in which it looks."""
    if sys.platform == "darwin":
        name = "Library/Managed Preferences/dev.continue.app.plist"
        return Path("/", name), home / name
    return Path("/etc/continue/mdm.json"), Path("/var/lib/continue/mdm.json"), home / ".config/continue/mdm.json"


def _license(file: Path) -> tuple[bool, str] | None:
    """Whether the license in a file is still valid, and the address of its Hub; None when the file holds no license.

    The signature is not checked. So a license with a wrong signature, which Continue ignores, is reported all the same.
    """
    try:
        raw = file.read_bytes()[:_LARGEST]
        value: Any = plistlib.loads(raw) if file.suffix == ".plist" else json.loads(raw)
        outer = json.loads(b64decode(value["licenseKey"]))
        ends = datetime.fromisoformat(json.loads(outer["data"])["expiresAt"])
        address = urlsplit(str(outer["unsignedData"]["apiUrl"]))
        return ends.astimezone(UTC) > datetime.now(UTC), f"{address.scheme}://{address.hostname}"
    except (OSError, ValueError, TypeError, KeyError, plistlib.InvalidFileException):
        return None
